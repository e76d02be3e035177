"""The first row: is anything being lost, or late? What is not green names its runbook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.look import ANY_IS_BAD, GREEN, GREY, RED, YELLOW, bars, lines, rows, stat_panel
from boards.queries import now, now_as_table, over_time, sql

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Panel

NO_WORKER = ("no worker answers", RED)
NO_PERSISTER = ("no persister", RED)
NO_FORWARDER = ("no forwarder", GREY)
PIPELINE = "persister|forwarder|publisher|worker|database"
"""The components of the pipeline's own alerts."""

WORKERS_ANSWER = "sark:audit_topic_end_offset:max"


def verdict() -> list[Panel]:
    """Return the row's panels: what may be lost, what is late, and the alerts."""
    return [
        _retention_used(),
        _not_durable(),
        _oldest_not_durable(),
        _without_owner(),
        _stopped(),
        _late(),
        _not_recorded(),
        _given_up(),
        _quarantined(),
        _dead_letters(),
        _sinks(),
        _flow(),
        _alerts(),
    ]


def _retention_used() -> Panel:
    # Who is dead shows no age: then it is at least as long since anybody was alive.
    def since_last(shown: str, by: str = "") -> str:
        return f"time() - max{by} (max_over_time(timestamp({shown})[7d:5m]))"

    sink = " by (siem_platform)"
    unsent = since_last("sark:siem_owned_partitions:count", sink)
    return bars(
        "Kafka's retention used up",
        "How far the oldest record that is not in the database, or not at a sink, is on its way "
        "out of Kafka. At 100 % records are lost. Where no worker lives: for how long none has. "
        "Empty when the topic keeps records for ever.",
        now(
            f"""(max(sark_audit_oldest_undurable_seconds)
                or {since_last("sark:audit_durable_offset:max")})
            / min(sark_audit_topic_retention_seconds)""",
            "database",
        ),
        now(
            f"""(max{sink} (sark_siem_oldest_unsent_seconds) or {unsent})
            / on () group_left () min(sark_audit_topic_retention_seconds)""",
            "{{siem_platform}}",
        ),
        limits=((None, GREEN), (0.1, YELLOW), (0.5, RED)),
        missing=("kept for ever, or no worker answers", GREY),
        width=8,
        height=4,
    )


def _not_durable() -> Panel:
    return stat_panel(
        "Not in the database yet",
        "Records that Kafka has and the database has not. Known as long as any worker answers, "
        "also while every persister is dead.",
        now("sum(sark:audit_undurable_records:sum)"),
        unit="short",
        limits=((None, GREEN), (10_000, YELLOW), (100_000, RED)),
        missing=NO_WORKER,
    )


def _oldest_not_durable() -> Panel:
    return stat_panel(
        "The oldest of them",
        "How long the oldest record that is not in the database has waited.",
        now("max(sark_audit_oldest_undurable_seconds)"),
        unit="s",
        limits=((None, GREEN), (60, YELLOW), (300, RED)),
        missing=NO_PERSISTER,
    )


def _without_owner() -> Panel:
    return stat_panel(
        "Partitions without a persister",
        "Partitions that no persister has: their records wait. Runbook AuditPartitionWithoutOwner.",
        now("sum(sark:audit_unowned_partitions:count)"),
        unit="locale",
        limits=ANY_IS_BAD,
        missing=NO_WORKER,
    )


def _stopped() -> Panel:
    return stat_panel(
        "Partitions stopped",
        "Partitions that wait for an operator, the sinks' among them. Runbooks "
        "AuditPartitionStopped, AuditGarbageLimitReached and SinkPartitionStopped.",
        now(
            f"""(count(max by (topic, partition) (sark_audit_partition_stopped) == 1)
                or vector(0))
            + (count(max by (siem_platform, topic, partition) (sark_siem_partition_stopped) == 1)
                or vector(0))
            and on () {WORKERS_ANSWER}"""
        ),
        unit="locale",
        limits=ANY_IS_BAD,
        missing=NO_WORKER,
    )


def _late() -> Panel:
    return stat_panel(
        "Delay of what comes through",
        "How long 99 % of what was committed in the last 5 minutes had waited at most.",
        now('max(sark:audit_end_to_end_delay_seconds:p99_rate5m{job="ingest-persister"})'),
        unit="s",
        limits=((None, GREEN), (10, YELLOW), (60, RED)),
        missing=("nothing committed", GREY),
    )


def _not_recorded() -> Panel:
    return stat_panel(
        "Not recorded by gateways",
        "Audit events of the range that a publisher refused or could not send, or whose fate it "
        "does not know. Runbook AuditEventsNotRecorded.",
        now(
            """round(
                sum(increase(sark_audit_publisher_events_total{outcome!="recorded"}[$__range]))
                + sum(increase(sark_audit_queue_drops_total[$__range])))"""
        ),
        unit="locale",
        limits=ANY_IS_BAD,
        missing=("no gateway is scraped", GREY),
    )


def _given_up() -> Panel:
    return stat_panel(
        "Given up as lost",
        "Records that an operator gave up in the range, since they had left Kafka: the ledger's "
        "gaps, each with who and why. From the database.",
        sql("given_up"),
        unit="locale",
        limits=ANY_IS_BAD,
        missing=("no database", RED),
    )


def _quarantined() -> Panel:
    return stat_panel(
        "Quarantined",
        "Records of the range that could be no row; they are kept, and can be replayed.",
        now("round(sum(increase(sark_audit_quarantined_total[$__range])))"),
        unit="locale",
        limits=((None, GREEN), (1, YELLOW)),
        missing=NO_PERSISTER,
    )


def _dead_letters() -> Panel:
    return stat_panel(
        "Dead letters, last 15 minutes",
        "Records that a sink refused for good; they are kept, and can be replayed. Runbook "
        "SinkDeadLetters.",
        now(
            """round(sum(sark:siem_dead_letters:increase15m))
            or 0 * count(sark_siem_circuit_breaker_state)"""
        ),
        unit="locale",
        limits=((None, GREEN), (1, YELLOW)),
        missing=NO_FORWARDER,
    )


def _sinks() -> Panel:
    return stat_panel(
        "Sinks that get nothing",
        "Sinks whose breaker is not closed, and sinks that had a forwarder within a week and have "
        "none now. Kafka keeps their events. Runbooks SinkBreakerOpen and "
        "SinkPartitionWithoutOwner.",
        now(
            """count(
                max by (siem_platform) (sark_siem_circuit_breaker_state) > 0
                or (max by (siem_platform) (last_over_time(sark:siem_owned_partitions:count[7d]))
                    unless max by (siem_platform) (sark:siem_owned_partitions:count))
            ) or 0 * count(sark:siem_owned_partitions:count)"""
        ),
        unit="locale",
        limits=ANY_IS_BAD,
        missing=NO_FORWARDER,
    )


def _flow() -> Panel:
    return lines(
        "Arriving and made durable",
        "Records a second that the topic got, and that became durable: the second line under the "
        "first is a backlog that grows, above it one that drains.",
        # Several workers show the same partition: the greatest, not the sum.
        over_time(
            """sum(max by (topic, partition) (
                rate(sark_audit_topic_end_offset[$__rate_interval])))""",
            "arriving",
        ),
        over_time(
            """sum(max by (topic, partition) (
                rate(sark_audit_durable_offset[$__rate_interval])))""",
            "made durable",
        ),
        unit="ops",
    )


def _alerts() -> Panel:
    return rows(
        "Alerts that fire now",
        "Each has a page under docs/runbooks, by its name.",
        now_as_table(
            f"""count by (alertname, severity, component, siem_platform, partition) (
                ALERTS{{alertstate="firing", component=~"gateway|{PIPELINE}"}})"""
        ),
        names={
            "alertname": "Alert",
            "severity": "Severity",
            "component": "Where",
            "siem_platform": "Sink",
            "partition": "Partition",
            "Value": "Times",
        },
    )
