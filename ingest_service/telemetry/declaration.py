"""What a metric's declaration says: its name, help, labels, and what bounds each of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

OTHER = "other"
"""What a label says once its values have reached their bound, or when it is none of a list's."""

NONE = "none"
"""What a label says when the event does not name it."""


class Kind(StrEnum):
    """A metric's type, by Prometheus' word for it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    """Where a metric's value comes from."""

    EVENTS = "events"
    """Rows, once their transaction has committed; never duplicates."""
    TELEMETRY = "telemetry"
    """`metadata.telemetry` of those rows: what only the gateway knows."""
    BOTH = "events and telemetry"
    """Events, and by telemetry what happened without an event."""
    WORKER = "worker"
    DATABASE = "database"
    """Asked for by the persister every minute, beside its work."""
    PUBLISHER = "publisher"
    """In the gateway's own registry."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label, and what bounds its values: a caller who invents some can not grow our memory.

    Open: the first `most` distinct values keep their names, the rest become `other`. Closed:
    whatever is not in `values` becomes `other`. Neither: the values are ours, or the cluster's.
    Values in `shown` have their series from the start, at 0, so that a rate sees the first count.
    """

    name: str
    meaning: str
    most: int | None = None
    values: Sequence[str] = ()
    shown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Declaration:
    """One metric, equal to itself alone; its buckets are in its unit.

    `name` is as exposed, so a counter's ends in `_total`. `counts` says which events add to it,
    `told` is its name in `metadata.telemetry`. At most `most_series` are kept of one with open
    labels; beyond that those of a new one become `other`.
    """

    name: str
    kind: Kind
    help: str
    source: Source
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    counts: str = ""
    told: str = ""
    most_series: int = 100
