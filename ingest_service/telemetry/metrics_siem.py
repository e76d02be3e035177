"""The forwarder's own metrics, by sink."""

from ingest_service.telemetry.declaration import Declaration, Kind, Label, Source
from ingest_service.telemetry.metrics_labels import PARTITION, SINK, TOPIC, WRITE_SECONDS
from ingest_service.telemetry.metrics_persister import STOP_REASON

_CODE = Label("reason", "the status tables' codes")

SINK_EVENTS = Declaration(
    name="sark_siem_forwards_total",
    kind=Kind.COUNTER,
    help="Events that a sink has (forwarded), that the settings leave out (filtered), "
    "that it refused for good (dead_lettered).",
    source=Source.WORKER,
    labels=(SINK, Label("status", "forwarded, filtered, dead_lettered")),
)
SINK_DURATION = Declaration(
    name="sark_siem_forward_duration_seconds",
    kind=Kind.HISTOGRAM,
    help="From sending one request to its whole answer, whatever the answer.",
    source=Source.WORKER,
    labels=(SINK,),
    buckets=WRITE_SECONDS,
)
SINK_BATCH = Declaration(
    name="sark_siem_batch_size",
    kind=Kind.HISTOGRAM,
    help="Events in one request.",
    source=Source.WORKER,
    labels=(SINK,),
    buckets=(1, 10, 50, 100, 250, 500, 1000, 2000),
)
SINK_RETRIES = Declaration(
    name="sark_siem_retries_total",
    kind=Kind.COUNTER,
    help="Requests that are sent again, by why.",
    source=Source.WORKER,
    labels=(SINK, _CODE),
)
SINK_STATUS = Declaration(
    name="sark_siem_connection_status",
    kind=Kind.GAUGE,
    help="1 while the sink takes what it is sent, 0 since it last did not.",
    source=Source.WORKER,
    labels=(SINK,),
)
SINK_COMMITTED = Declaration(
    name="sark_siem_committed_offset",
    kind=Kind.GAUGE,
    help="The next offset for this sink: everything before it is settled. By its owner.",
    source=Source.WORKER,
    labels=(SINK, TOPIC, PARTITION),
)
SINK_LAG = Declaration(
    name="sark_siem_consumer_lag",
    kind=Kind.GAUGE,
    help="Records in the partition that this sink does not have yet: end minus committed offset.",
    source=Source.WORKER,
    labels=(SINK, TOPIC, PARTITION),
)
SINK_STOPPED = Declaration(
    name="sark_siem_partition_stopped",
    kind=Kind.GAUGE,
    help="1 while a sink's partition waits for an operator, by why.",
    source=Source.WORKER,
    labels=(SINK, TOPIC, PARTITION, STOP_REASON),
)
SINK_BACKLOG = Declaration(
    name="sark_siem_backpressure_events",
    kind=Kind.GAUGE,
    help="Records that wait in Kafka for this sink, in the partitions of this worker.",
    source=Source.WORKER,
    labels=(SINK,),
)
SINK_OLDEST = Declaration(
    name="sark_siem_oldest_unsent_seconds",
    kind=Kind.GAUGE,
    help="Age of the oldest record that was read for this sink and is not settled; 0 without one.",
    source=Source.WORKER,
    labels=(SINK,),
)
SINK_RAW_BYTES = Declaration(
    name="sark_siem_raw_bytes_total",
    kind=Kind.COUNTER,
    help="Bytes of requests before compression.",
    source=Source.WORKER,
    labels=(SINK,),
)
SINK_SENT_BYTES = Declaration(
    name="sark_siem_compressed_bytes_total",
    kind=Kind.COUNTER,
    help="Bytes of requests as they were sent.",
    source=Source.WORKER,
    labels=(SINK,),
)
SINK_BREAKER = Declaration(
    name="sark_siem_circuit_breaker_state",
    kind=Kind.GAUGE,
    help="0 closed, 1 half-open (one request goes out to see), 2 open.",
    source=Source.WORKER,
    labels=(SINK,),
)
SINK_BREAKER_TRANSITIONS = Declaration(
    name="sark_siem_circuit_breaker_transitions_total",
    kind=Kind.COUNTER,
    help="Changes of the breaker's state, by the new one.",
    source=Source.WORKER,
    labels=(SINK, Label("to", "closed, half_open, open")),
)
SINK_DEAD_LETTERS = Declaration(
    name="sark_siem_dead_letters_total",
    kind=Kind.COUNTER,
    help="Records that this sink will never take, kept in the dead-letter topic, by why.",
    source=Source.WORKER,
    labels=(SINK, _CODE),
)
SINK_ACK_PENDING = Declaration(
    name="sark_siem_ack_pending",
    kind=Kind.GAUGE,
    help="Requests that the sink accepted and has not acknowledged.",
    source=Source.WORKER,
    labels=(SINK,),
)
SINK_ACK_EXPIRED = Declaration(
    name="sark_siem_ack_expired_total",
    kind=Kind.COUNTER,
    help="Ranges of records whose acknowledgement never came: they are sent again.",
    source=Source.WORKER,
    labels=(SINK,),
)

SIEM = (
    SINK_EVENTS,
    SINK_DURATION,
    SINK_BATCH,
    SINK_RETRIES,
    SINK_STATUS,
    SINK_COMMITTED,
    SINK_LAG,
    SINK_STOPPED,
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
