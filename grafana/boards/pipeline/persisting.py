"""From Kafka to the database: which partition waits, how late, how fast, and what fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.look import areas, lines, rows
from boards.queries import now_as_table, over_time, sql

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Panel

ROWS = 'sark_audit_events_written_total{destination="database"}'
BUCKETS = 'sark_audit_write_duration_seconds_bucket{destination="database"}'
TRANSACTIONS = 'sark_audit_write_duration_seconds_count{destination="database"}'
DELAYS = 'sark_audit_end_to_end_delay_seconds_bucket{job="ingest-persister"}'


def persisting() -> list[Panel]:
    """Return the row's panels."""
    return [
        _lag(),
        _delay(),
        _rows(),
        _batches(),
        _writes(),
        _failures(),
        _partitions(),
        _stopped(),
    ]


def _lag() -> Panel:
    return lines(
        "Lag by partition",
        "Records of each partition that are not durable yet. One partition alone: look at its "
        "owner and at Partitions stopped; all of them: look at the database.",
        over_time("max by (topic, partition) (sark_audit_consumer_lag)", "{{topic}} {{partition}}"),
        unit="short",
    )


def _delay() -> Panel:
    def quantile(share: float) -> str:
        return f"""histogram_quantile({share},
            sum by (le) (rate({DELAYS}[$__rate_interval])))"""

    return lines(
        "Delay, Kafka to commit",
        "How long after the broker took them records became durable: half, 95 %, 99 %. Only "
        "what was committed is counted: while nothing is, see The oldest of them.",
        over_time(quantile(0.5), "P50"),
        over_time(quantile(0.95), "P95"),
        over_time(quantile(0.99), "P99"),
        unit="s",
    )


def _rows() -> Panel:
    return areas(
        "Rows written",
        "Rows a second that were committed, by type of event.",
        over_time(f"sum by (event_type) (rate({ROWS}[$__rate_interval]))", "{{event_type}}"),
        unit="ops",
    )


def _batches() -> Panel:
    return lines(
        "Rows in a transaction",
        "How many rows one transaction wrote on average. It grows when records wait: then a "
        "batch is what has gathered while the one before was written, up to 10,000.",
        over_time(
            f"sum(rate({ROWS}[$__rate_interval])) / sum(rate({TRANSACTIONS}[$__rate_interval]))",
            "rows",
        ),
        unit="short",
    )


def _writes() -> Panel:
    def quantile(share: float) -> str:
        return f"histogram_quantile({share}, sum by (le) (rate({BUCKETS}[$__rate_interval])))"

    return lines(
        "Time of a transaction",
        "How long a batch took from begin to commit: half, 99 %.",
        over_time(quantile(0.5), "P50"),
        over_time(quantile(0.99), "P99"),
        unit="s",
    )


def _failures() -> Panel:
    def each_second(metric: str) -> str:
        return f"sum(rate({metric}[$__rate_interval]))"

    return lines(
        "Failed, fenced and repeated",
        "Writes a second that failed and are tried again, by why; that changed nothing since "
        "another worker had gone on (a few at each takeover); records that were there already.",
        over_time(
            "sum by (error_type) (rate(sark_audit_write_errors_total[$__rate_interval]))",
            "failed: {{error_type}}",
        ),
        over_time(each_second("sark_audit_fenced_writes_total"), "fenced"),
        over_time(each_second("sark_audit_duplicates_total"), "duplicates"),
        unit="ops",
    )


def _partitions() -> Panel:
    return rows(
        "Partitions, as the database sees them",
        "How far each partition's ledger is, and the Kafka time before which nothing is missing. "
        "It holds whatever Prometheus knows.",
        sql("partitions"),
        width=16,
    )


def _stopped() -> Panel:
    return rows(
        "Stopped, and why",
        "Partitions that wait for an operator, the sinks' among them. The runbook of the alert "
        "says what each reason asks for.",
        now_as_table(
            """max by (partition, reason) (sark_audit_partition_stopped) == 1
            or max by (siem_platform, partition, reason) (sark_siem_partition_stopped) == 1"""
        ),
        names={"siem_platform": "Sink", "partition": "Partition", "reason": "Reason"},
        width=8,
    )
