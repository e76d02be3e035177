"""From Kafka to the SIEMs: what each sink still lacks, whether it takes anything, how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.look import GREEN, RED, YELLOW, lines, states
from boards.queries import over_time

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Panel

SINK = "{{siem_platform}}"


def sinks() -> list[Panel]:
    """Return the row's panels."""
    return [
        _waiting(),
        _oldest(),
        _lag(),
        _breakers(),
        _connected(),
        _forwarded(),
        _requests(),
        _batches(),
        _wire(),
        _retries(),
        _acknowledgements(),
    ]


def _waiting() -> Panel:
    return lines(
        "Waiting for each sink",
        "Records that Kafka has and the sink has not. Known as long as any worker answers, also "
        "while every forwarder is dead.",
        over_time("sum by (siem_platform) (sark:siem_unsent_records:sum)", SINK),
        unit="short",
        width=8,
    )


def _oldest() -> Panel:
    return lines(
        "Oldest unsent record",
        "How old the oldest record is that a sink does not have. Past Kafka's retention "
        "(the other line) records can only be refilled from the database.",
        over_time("max by (siem_platform) (sark_siem_oldest_unsent_seconds)", SINK),
        over_time("min(sark_audit_topic_retention_seconds)", "Kafka's retention"),
        unit="s",
        width=8,
    )


def _lag() -> Panel:
    return lines(
        "Lag by sink and partition",
        "Records of each partition that a sink has not. One partition alone: look at Stopped, and "
        "why; all of them: look at the sink.",
        over_time(
            "max by (siem_platform, topic, partition) (sark_siem_consumer_lag)",
            "{{siem_platform}}: {{partition}}",
        ),
        unit="short",
        width=8,
    )


def _breakers() -> Panel:
    return states(
        "Breakers",
        "Open: the sink failed five times in a row and is left alone for a minute; half-open: one "
        "request goes out to see.",
        over_time("max by (siem_platform) (sark_siem_circuit_breaker_state)", SINK),
        meanings={"0": ("closed", GREEN), "1": ("half-open", YELLOW), "2": ("open", RED)},
        width=12,
    )


def _connected() -> Panel:
    return states(
        "Connection",
        "Whether the last request of every forwarder was taken.",
        over_time("min by (siem_platform) (sark_siem_connection_status)", SINK),
        meanings={"0": ("refused or unreachable", RED), "1": ("taken", GREEN)},
        width=12,
    )


def _forwarded() -> Panel:
    return lines(
        "Events forwarded",
        "Events a second by what became of them: taken, left out by the settings, dead letters.",
        over_time("sark:siem_forwards:rate5m", "{{siem_platform}}: {{status}}"),
        unit="ops",
    )


def _requests() -> Panel:
    return lines(
        "Time of a request",
        "How long a sink took to answer 99 % of the requests, whatever the answer.",
        over_time(
            """histogram_quantile(0.99, sum by (siem_platform, le) (
                rate(sark_siem_forward_duration_seconds_bucket[$__rate_interval])))""",
            SINK,
        ),
        unit="s",
    )


def _batches() -> Panel:
    return lines(
        "Events in a request",
        "How many events a request carried on average. It grows, up to the sink's limit, when "
        "events wait.",
        over_time(
            """sum by (siem_platform) (rate(sark_siem_batch_size_sum[$__rate_interval]))
            / sum by (siem_platform) (rate(sark_siem_batch_size_count[$__rate_interval]))""",
            SINK,
        ),
        unit="short",
    )


def _wire() -> Panel:
    return lines(
        "Bytes on the wire",
        "Which part of a request's bytes gzip leaves over.",
        over_time("sark:siem_wire_bytes:ratio_rate5m", SINK),
        unit="percentunit",
    )


def _retries() -> Panel:
    return lines(
        "Requests sent again",
        "Requests a second that are sent again, by the sink's answer.",
        over_time(
            "sum by (siem_platform, reason) (rate(sark_siem_retries_total[$__rate_interval]))",
            "{{siem_platform}}: {{reason}}",
        ),
        unit="reqps",
    )


def _acknowledgements() -> Panel:
    return lines(
        "Acknowledgements",
        "Requests that the sink accepted and has not acknowledged; ranges of records a second "
        "whose acknowledgement never came. Only with indexer acknowledgement.",
        over_time("sum by (siem_platform) (sark_siem_ack_pending)", "{{siem_platform}}: waiting"),
        over_time(
            "sum by (siem_platform) (rate(sark_siem_ack_expired_total[$__rate_interval]))",
            "{{siem_platform}}: expired a second",
        ),
        unit="short",
    )
