"""The table of docs/operations.md: each state, asked over HTTP, has the codes that it promises."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jsonschema
import pytest
from prometheus_client import CollectorRegistry

from ingest_service.telemetry.endpoint import Endpoint
from ingest_service.telemetry.health import STALE_SECONDS, Health, Status
from ingest_service.telemetry.liveness import STALL_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
PATHS = ("/health", "/health/ready", "/health/detailed")
SCHEMAS = {"/health": "alive", "/health/ready": "ready", "/health/detailed": "detailed"}
BEGAN = 1000.0


class Row(NamedTuple):
    state: str
    codes: tuple[int, ...]
    status: str


def promised() -> list[Row]:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| (\d{3}) \| (\d{3}) \| (\d{3}) \| (\w+)", page, re.MULTILINE)
    return [Row(state, (int(a), int(b), int(c)), status) for state, a, b, c, status in rows]


class Worker:
    """A worker's health at a moment, served."""

    def __init__(self) -> None:
        self.health = Health()
        self.now = BEGAN
        self.health.expect("persister")
        self.health.probed("kafka", Status.HEALTHY, BEGAN, latency_seconds=0.002)
        self.health.liveness.beat("writer-0", BEGAN)

    def join(self) -> None:
        self.health.joined("persister", any_partition=True)

    def pass_time(self, seconds: float) -> None:
        """Let time pass in which everything else goes on."""
        self.now += seconds
        self.health.liveness.beat("writer-0", self.now)
        self.health.probed("kafka", Status.HEALTHY, self.now, latency_seconds=0.002)


def well(worker: Worker) -> None:
    worker.join()


def stands_by(worker: Worker) -> None:
    worker.health.joined("persister", any_partition=False)


def starts(worker: Worker) -> None:
    del worker


def one_of_two_sinks(worker: Worker) -> None:
    worker.health.expect("datadog")
    worker.join()


def stops(worker: Worker) -> None:
    worker.join()
    worker.health.stop()


def away(worker: Worker) -> None:
    worker.join()
    worker.health.probed("database", Status.UNHEALTHY, BEGAN, detail="no answer within 3 s")


def away_at_the_start(worker: Worker) -> None:
    worker.health.probed("database", Status.UNHEALTHY, BEGAN, detail="no answer within 3 s")


def one_broker_away(worker: Worker) -> None:
    worker.join()
    worker.health.probed("kafka", Status.DEGRADED, BEGAN, detail="broker b leads partitions 1, 4")


def breaker_open(worker: Worker) -> None:
    worker.join()
    worker.health.report("splunk", Status.UNHEALTHY, BEGAN, detail="the breaker is open: busy")
    worker.health.probed("splunk", Status.HEALTHY, BEGAN, latency_seconds=0.01)


def extra_probe_fails(worker: Worker) -> None:
    worker.join()
    worker.health.probed("redis", Status.UNHEALTHY, BEGAN, detail="connection refused")


def partition_stopped(worker: Worker) -> None:
    worker.join()
    worker.health.partition_stopped("partition 3", "operator, decide", BEGAN)
    worker.health.liveness.observe("3", position=5, end=9, now=BEGAN, cause="operator, decide")
    worker.pass_time(STALL_SECONDS + 1)
    worker.health.liveness.observe("3", position=5, end=9, now=worker.now, cause="the same")


def not_asked(worker: Worker) -> None:
    worker.join()
    worker.now += STALE_SECONDS + 1
    worker.health.liveness.beat("writer-0", worker.now)


def loop_hangs(worker: Worker) -> None:
    worker.join()
    worker.now += STALL_SECONDS + 1


def partition_stands(worker: Worker) -> None:
    worker.join()
    worker.health.liveness.observe("3", position=5, end=9, now=BEGAN)
    worker.pass_time(STALL_SECONDS + 1)
    worker.health.liveness.observe("3", position=5, end=9, now=worker.now)


def partition_held(worker: Worker) -> None:
    away(worker)
    worker.health.liveness.observe("3", position=5, end=9, now=BEGAN, cause="away")
    worker.pass_time(STALL_SECONDS + 1)
    worker.health.liveness.observe("3", position=5, end=9, now=worker.now, cause="away")


STATES: dict[str, Callable[[Worker], None]] = {
    "all well": well,
    "more workers than partitions: this one stands by": stands_by,
    "not yet in the group": starts,
    "forwarder: one of two sinks not yet in its group": one_of_two_sinks,
    "stopping": stops,
    "database, broker or sink away, or hanging": away,
    "database away, not yet in the group": away_at_the_start,
    "a broker that leads some of the partitions does not answer": one_broker_away,
    "the breaker of a sink is open": breaker_open,
    "a probe of `INGEST_HEALTH__PROBES` fails": extra_probe_fails,
    "one partition stopped for an operator": partition_stopped,
    "nothing has been asked for a minute": not_asked,
    "a loop hangs": loop_hangs,
    "a partition with work and no known cause stands still": partition_stands,
    "a partition with work stands still while the database is away": partition_held,
}


@contextmanager
def served(worker: Worker) -> Iterator[Callable[[str], tuple[int, object]]]:
    """Yield what asks one of the worker's pages."""
    endpoint = Endpoint(
        "127.0.0.1", 0, CollectorRegistry(), worker.health, clock=lambda: worker.now
    )
    with endpoint as port:

        def ask(path: str) -> tuple[int, object]:
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            response = connection.getresponse()
            found = response.status, json.loads(response.read())
            connection.close()
            return found

        yield ask


def test_table_lists_each_state_once() -> None:
    """A state that is promised is tested, and none is tested that is not promised."""
    assert [row.state for row in promised()] == list(STATES)


@pytest.mark.parametrize("row", promised(), ids=lambda row: row.state)
def test_state_has_the_codes_that_are_promised(row: Row) -> None:
    """The codes and the status of the table, and answers as schemas/health.json says."""
    worker = Worker()
    STATES[row.state](worker)
    with served(worker) as ask:
        answers = {path: ask(path) for path in PATHS}
    assert tuple(code for code, _ in answers.values()) == row.codes
    assert answers["/health/detailed"][1]["status"] == row.status
    for path, (_, body) in answers.items():
        validator(SCHEMAS[path]).validate(body)


def validator(name: str) -> jsonschema.Draft202012Validator:
    """Return what validates one kind of answer."""
    schema = json.loads((ROOT / "schemas" / "health.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema | {"oneOf": [{"$ref": f"#/$defs/{name}"}]})


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"alive": True, "stalled": ["poll"]},
        {"alive": False, "stalled": []},
        {"ready": True, "phase": "starting"},
        {"ready": False, "phase": "assigned"},
        {"ready": True, "phase": "asleep"},
        {"status": "healthy", "ready": True, "phase": "assigned", "stalled": {}},
        {
            "status": "degraded",
            "ready": True,
            "phase": "assigned",
            "stalled": {},
            "components": {"kafka": {"status": "unhealthy", "detail": "", "latency_ms": None}},
        },
    ],
)
def test_schema_refuses_what_contradicts_itself(answer: dict) -> None:
    """The schema is not so loose that anything passes."""
    schema = json.loads((ROOT / "schemas" / "health.json").read_bytes())
    assert not jsonschema.Draft202012Validator(schema).is_valid(answer)
