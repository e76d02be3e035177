"""A stage for whole-process tests: a topic, a database, real workers, and what must hold."""

from stage.invariants import assert_invariants
from stage.journal import Journal
from stage.stage import Stage, on_stage
from stage.waiting import until
from stage.worker import Worker

__all__ = ["Journal", "Stage", "Worker", "assert_invariants", "on_stage", "until"]
