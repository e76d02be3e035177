"""The publisher's metrics, in the gateway's own registry; no label comes from an event."""

from ingest_service.telemetry.declaration import Declaration, Kind, Label, Source

QUEUE_DEPTH = Declaration(
    name="sark_audit_queue_depth",
    kind=Kind.GAUGE,
    help="Audit events that wait for the broker's acknowledgement.",
    source=Source.PUBLISHER,
)
QUEUE_CAPACITY = Declaration(
    name="sark_audit_queue_capacity",
    kind=Kind.GAUGE,
    help="How many audit events may wait; beyond that the publisher refuses.",
    source=Source.PUBLISHER,
)
QUEUE_DROPS = Declaration(
    name="sark_audit_queue_drops_total",
    kind=Kind.COUNTER,
    help="Audit events that were taken and then dropped: always 0, the publisher refuses.",
    source=Source.PUBLISHER,
)
PUBLISHED = Declaration(
    name="sark_audit_publisher_events_total",
    kind=Kind.COUNTER,
    help="Audit events by outcome: recorded (acknowledged by all replicas), not_sent (never left "
    "the process), unknown (may have arrived), refused (the buffer was full).",
    source=Source.PUBLISHER,
    labels=(Label("outcome", "recorded, not_sent, unknown, refused"),),
)
DEADLINE_EXCEEDED = Declaration(
    name="sark_audit_publisher_deadline_exceeded_total",
    kind=Kind.COUNTER,
    help="Calls that were told NotRecorded because the broker had not answered in time; an event "
    "that was on its way is counted by its outcome too, later.",
    source=Source.PUBLISHER,
)
TRIMMED = Declaration(
    name="sark_audit_publisher_trimmed_events_total",
    kind=Kind.COUNTER,
    help="Audit events of which something was cut or replaced to fit the contract.",
    source=Source.PUBLISHER,
)
ACKNOWLEDGE_SECONDS = Declaration(
    name="sark_audit_publisher_acknowledge_seconds",
    kind=Kind.HISTOGRAM,
    help="Time from handing an event over to its acknowledgement by all replicas.",
    source=Source.PUBLISHER,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)

PUBLISHER = (
    QUEUE_DEPTH,
    QUEUE_CAPACITY,
    QUEUE_DROPS,
    PUBLISHED,
    DEADLINE_EXCEEDED,
    TRIMMED,
    ACKNOWLEDGE_SECONDS,
)
