"""The persister's own metrics: what is durable, how late, and what stands in the way."""

from ingest_service.errors import StopReason
from ingest_service.events.rejection import Reason
from ingest_service.telemetry.declaration import Declaration, Kind, Label, Source
from ingest_service.telemetry.metrics_labels import EVENT_TYPE, PARTITION, TOPIC, WRITE_SECONDS

_DESTINATION = Label("destination", "`database`")
STOP_REASON = Label("reason", "our code for why it waits", values=tuple(StopReason))

END_OFFSET = Declaration(
    name="sark_audit_topic_end_offset",
    kind=Kind.GAUGE,
    help="The offset that the next record of the partition will get; of all partitions, by every "
    "worker, also while paused.",
    source=Source.WORKER,
    labels=(TOPIC, PARTITION),
)
TOPIC_RETENTION = Declaration(
    name="sark_audit_topic_retention_seconds",
    kind=Kind.GAUGE,
    help="How long Kafka keeps a record of the topic; absent when for ever. By every worker.",
    source=Source.WORKER,
    labels=(TOPIC,),
)
WORKER_INFO = Declaration(
    name="sark_audit_worker_info",
    kind=Kind.GAUGE,
    help="1, with what this worker is.",
    source=Source.WORKER,
    labels=(Label("role", "`persister` or `forwarder`"), Label("version", "the package's")),
)
DURABLE_OFFSET = Declaration(
    name="sark_audit_durable_offset",
    kind=Kind.GAUGE,
    help="The next offset to be made durable: everything before it is. By the partition's owner.",
    source=Source.WORKER,
    labels=(TOPIC, PARTITION),
)
CONSUMER_LAG = Declaration(
    name="sark_audit_consumer_lag",
    kind=Kind.GAUGE,
    help="Records in the partition that are not durable yet: end offset minus durable offset.",
    source=Source.WORKER,
    labels=(TOPIC, PARTITION),
)
OLDEST_UNDURABLE = Declaration(
    name="sark_audit_oldest_undurable_seconds",
    kind=Kind.GAUGE,
    help="Age of the oldest record in this worker's partitions that is not durable; 0 when none.",
    source=Source.WORKER,
)
END_TO_END_DELAY = Declaration(
    name="sark_audit_end_to_end_delay_seconds",
    kind=Kind.HISTOGRAM,
    help="From a record's Kafka time (the broker's) to its commit, or to its sink.",
    source=Source.WORKER,
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300, 900, 3600, 21_600, 86_400),
)
PARTITION_STOPPED = Declaration(
    name="sark_audit_partition_stopped",
    kind=Kind.GAUGE,
    help="1 while a partition waits for an operator, by why.",
    source=Source.WORKER,
    labels=(TOPIC, PARTITION, STOP_REASON),
)
EVENTS_WRITTEN = Declaration(
    name="sark_audit_events_written_total",
    kind=Kind.COUNTER,
    help="Events that became durable rows.",
    source=Source.WORKER,
    labels=(EVENT_TYPE, _DESTINATION),
)
WRITE_DURATION = Declaration(
    name="sark_audit_write_duration_seconds",
    kind=Kind.HISTOGRAM,
    help="How long one batch took from begin to commit.",
    source=Source.WORKER,
    labels=(_DESTINATION,),
    buckets=WRITE_SECONDS,
)
WRITE_ERRORS = Declaration(
    name="sark_audit_write_errors_total",
    kind=Kind.COUNTER,
    help="Writes that failed, by our reaction; they are tried again.",
    source=Source.WORKER,
    labels=(_DESTINATION, Label("error_type", "names of our reactions")),
)
QUARANTINED = Declaration(
    name="sark_audit_quarantined_total",
    kind=Kind.COUNTER,
    help="Records kept in quarantine because they can not become rows.",
    source=Source.WORKER,
    labels=(Label("reason", "the decoder's list", values=tuple(Reason), shown=True),),
)
DUPLICATES = Declaration(
    name="sark_audit_duplicates_total",
    kind=Kind.COUNTER,
    help="Records whose event was in the table already, with the same content.",
    source=Source.WORKER,
)
FENCED_WRITES = Declaration(
    name="sark_audit_fenced_writes_total",
    kind=Kind.COUNTER,
    help="Writes that changed nothing because another worker had moved the stream's head.",
    source=Source.WORKER,
)
TELEMETRY_IGNORED = Declaration(
    name="sark_audit_telemetry_ignored_total",
    kind=Kind.COUNTER,
    help="Values of gateways' telemetry that no metric shows, by why.",
    source=Source.WORKER,
    labels=(
        Label(
            "reason",
            "what was wrong with it",
            values=("malformed", "unknown_name", "bad_value", "too_old", "too_many"),
            shown=True,
        ),
    ),
)
LOG_SIZE = Declaration(
    name="sark_audit_log_size_bytes",
    kind=Kind.GAUGE,
    help="Size of the audit tables with their indexes.",
    source=Source.DATABASE,
)
STORAGE_UTILIZATION = Declaration(
    name="sark_audit_storage_utilization_ratio",
    kind=Kind.GAUGE,
    help="That size as a part of INGEST_DATABASE__CAPACITY_BYTES; absent when that is not set.",
    source=Source.DATABASE,
)
LOG_ROTATIONS = Declaration(
    name="sark_audit_log_rotations_total",
    kind=Kind.COUNTER,
    help="Chunks or partitions of the audit tables that were made; the database's own count.",
    source=Source.DATABASE,
)
RETENTION_PURGES = Declaration(
    name="sark_audit_retention_purges_total",
    kind=Kind.COUNTER,
    help="Purges that the ledger records.",
    source=Source.DATABASE,
)

PERSISTER = (
    END_OFFSET,
    TOPIC_RETENTION,
    WORKER_INFO,
    DURABLE_OFFSET,
    CONSUMER_LAG,
    OLDEST_UNDURABLE,
    END_TO_END_DELAY,
    PARTITION_STOPPED,
    EVENTS_WRITTEN,
    WRITE_DURATION,
    WRITE_ERRORS,
    QUARANTINED,
    DUPLICATES,
    FENCED_WRITES,
    TELEMETRY_IGNORED,
    LOG_SIZE,
    STORAGE_UTILIZATION,
    LOG_ROTATIONS,
    RETENTION_PURGES,
)
