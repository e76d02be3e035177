"""Every metric is declared here, once: its name, help, labels, and what bounds each label.

Names are fixed: dashboards and alerts use them. `docs/metrics.md` says the same to its readers,
kept in step by a test.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod

from ingest_service.events.rejection import Reason

OTHER = "other"
"""What a label says once its values have reached their bound."""

NONE = "none"
"""What a label says when the event does not name it."""


class Kind(StrEnum):
    """A metric's type, by Prometheus' word for it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    """Where a metric's value comes from."""

    EVENTS = "committed events"
    WORKER = "the worker itself"


@dataclass(frozen=True, slots=True)
class Label:
    """A label and its bound: a caller who invents values can not grow our memory.

    `known` values are shown from the start, at 0, so that a rate sees the first of them. `most`
    counts distinct values before `other`; None where the values are ours or the cluster's, never
    an event's.
    """

    name: str
    bound: str
    most: int | None = None
    known: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Declaration:
    """One metric; `name` is as exposed, so a counter's ends in `_total`. Buckets in its unit."""

    name: str
    kind: Kind
    help: str
    source: Source
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def most_series(self) -> int | None:
        """How many series events can make of it, at worst; None when events have no say."""
        bounds = [label.most + 1 for label in self.labels if label.most is not None]
        return prod(bounds) if bounds else None


_TOPIC = Label("topic", "the configured topic")
_PARTITION = Label("partition", "the topic's partitions that this worker owns")
_DESTINATION = Label("destination", "database, or a sink's name")
_SINK = Label("siem_platform", "the sinks that are on")
_EVENT_TYPE = Label("event_type", "from events", most=24)
_DECISION = Label("decision", "allow, deny or none", most=3)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

EVENTS_WRITTEN = Declaration(
    "sark_audit_events_written_total",
    Kind.COUNTER,
    "Events made durable: committed to the database, or taken by a sink.",
    Source.WORKER,
    (_EVENT_TYPE, _DESTINATION),
)
WRITE_DURATION = Declaration(
    "sark_audit_write_duration_seconds",
    Kind.HISTOGRAM,
    "How long one batch took from begin to commit.",
    Source.WORKER,
    (_DESTINATION,),
    _SECONDS,
)
WRITE_ERRORS = Declaration(
    "sark_audit_write_errors_total",
    Kind.COUNTER,
    "Writes that failed, by the name of our reaction; they are tried again.",
    Source.WORKER,
    (_DESTINATION, Label("error_type", "names of our own errors")),
)
END_OFFSET = Declaration(
    "sark_audit_topic_end_offset",
    Kind.GAUGE,
    "The offset that the next record of the partition will get; asked also while paused.",
    Source.WORKER,
    (_TOPIC, _PARTITION),
)
DURABLE_OFFSET = Declaration(
    "sark_audit_durable_offset",
    Kind.GAUGE,
    "The next offset to be made durable: everything before it is.",
    Source.WORKER,
    (_TOPIC, _PARTITION),
)
CONSUMER_LAG = Declaration(
    "sark_audit_consumer_lag",
    Kind.GAUGE,
    "Records in the partition that are not durable yet: end offset minus durable offset.",
    Source.WORKER,
    (_TOPIC, _PARTITION),
)
END_TO_END_DELAY = Declaration(
    "sark_audit_end_to_end_delay_seconds",
    Kind.HISTOGRAM,
    "From a record's Kafka time (the broker's) to its commit; a clock ahead of ours counts as 0.",
    Source.WORKER,
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400),
)
QUARANTINED = Declaration(
    "sark_audit_quarantined_total",
    Kind.COUNTER,
    "Records kept in quarantine because they can not become rows.",
    Source.WORKER,
    (Label("reason", "the decoder's list", known=tuple(Reason)),),
)
DUPLICATES = Declaration(
    "sark_audit_duplicates_total",
    Kind.COUNTER,
    "Records whose event was in the table already, with the same content.",
    Source.WORKER,
)
FENCED_WRITES = Declaration(
    "sark_audit_fenced_writes_total",
    Kind.COUNTER,
    "Writes that changed nothing because another worker had moved the stream's head.",
    Source.WORKER,
)
AUTHZ_REQUESTS = Declaration(
    "sark_gateway_authz_requests_total",
    Kind.COUNTER,
    "Authorisations that the gateway decided, agent-to-agent ones apart.",
    Source.EVENTS,
    (
        _DECISION,
        Label("action", "from events", most=24),
        Label("server", "from events", most=80),
    ),
)
AUDIT_EVENTS = Declaration(
    "sark_gateway_audit_events_total",
    Kind.COUNTER,
    "Audit events of the gateway that are durable rows.",
    Source.EVENTS,
    (_EVENT_TYPE, _DECISION),
)

SINK_EVENTS = Declaration(
    "sark_siem_forwards_total",
    Kind.COUNTER,
    "Events that a sink has (forwarded), that the settings leave out (filtered), "
    "that it refused for good (dead_lettered).",
    Source.WORKER,
    (_SINK, Label("status", "forwarded, filtered, dead_lettered")),
)
SINK_DURATION = Declaration(
    "sark_siem_forward_duration_seconds",
    Kind.HISTOGRAM,
    "From sending one request to its whole answer, whatever the answer.",
    Source.WORKER,
    (_SINK,),
    _SECONDS,
)
SINK_BATCH = Declaration(
    "sark_siem_batch_size",
    Kind.HISTOGRAM,
    "Events in one request.",
    Source.WORKER,
    (_SINK,),
    (1, 10, 50, 100, 250, 500, 1000, 2000),
)
SINK_RETRIES = Declaration(
    "sark_siem_retries_total",
    Kind.COUNTER,
    "Requests that are sent again, by why.",
    Source.WORKER,
    (_SINK, Label("reason", "the status tables' codes")),
)
SINK_STATUS = Declaration(
    "sark_siem_connection_status",
    Kind.GAUGE,
    "1 while the sink takes what it is sent, 0 since it last did not.",
    Source.WORKER,
    (_SINK,),
)
SINK_BACKLOG = Declaration(
    "sark_siem_backpressure_events",
    Kind.GAUGE,
    "Records that wait in Kafka for this sink, in the partitions of this worker.",
    Source.WORKER,
    (_SINK,),
)
SINK_OLDEST = Declaration(
    "sark_siem_oldest_unsent_seconds",
    Kind.GAUGE,
    "Age of the oldest record that was read for this sink and is not settled; 0 without one.",
    Source.WORKER,
    (_SINK,),
)
SINK_RAW_BYTES = Declaration(
    "sark_siem_raw_bytes_total",
    Kind.COUNTER,
    "Bytes of requests before compression.",
    Source.WORKER,
    (_SINK,),
)
SINK_SENT_BYTES = Declaration(
    "sark_siem_compressed_bytes_total",
    Kind.COUNTER,
    "Bytes of requests as they were sent.",
    Source.WORKER,
    (_SINK,),
)
SINK_BREAKER = Declaration(
    "sark_siem_circuit_breaker_state",
    Kind.GAUGE,
    "0 closed, 1 half-open (one request goes out to see), 2 open.",
    Source.WORKER,
    (_SINK,),
)
SINK_BREAKER_TRANSITIONS = Declaration(
    "sark_siem_circuit_breaker_transitions_total",
    Kind.COUNTER,
    "Changes of the breaker's state, by the new one.",
    Source.WORKER,
    (_SINK, Label("to", "closed, half_open, open")),
)
SINK_DEAD_LETTERS = Declaration(
    "sark_siem_dead_letters_total",
    Kind.COUNTER,
    "Records that this sink will never take, kept in the dead-letter topic, by why.",
    Source.WORKER,
    (_SINK, Label("reason", "the status tables' codes")),
)
SINK_ACK_PENDING = Declaration(
    "sark_siem_ack_pending",
    Kind.GAUGE,
    "Requests that the sink accepted and has not acknowledged.",
    Source.WORKER,
    (_SINK,),
)
SINK_ACK_EXPIRED = Declaration(
    "sark_siem_ack_expired_total",
    Kind.COUNTER,
    "Ranges of records whose acknowledgement never came: they are sent again.",
    Source.WORKER,
    (_SINK,),
)

CATALOGUE = (
    AUTHZ_REQUESTS,
    AUDIT_EVENTS,
    EVENTS_WRITTEN,
    WRITE_DURATION,
    WRITE_ERRORS,
    END_OFFSET,
    DURABLE_OFFSET,
    CONSUMER_LAG,
    END_TO_END_DELAY,
    QUARANTINED,
    DUPLICATES,
    FENCED_WRITES,
    SINK_EVENTS,
    SINK_DURATION,
    SINK_BATCH,
    SINK_RETRIES,
    SINK_STATUS,
    SINK_BACKLOG,
    SINK_OLDEST,
    SINK_RAW_BYTES,
    SINK_SENT_BYTES,
    SINK_BREAKER,
    SINK_BREAKER_TRANSITIONS,
    SINK_DEAD_LETTERS,
    SINK_ACK_PENDING,
    SINK_ACK_EXPIRED,
)
