from __future__ import annotations

from collections import Counter

import pytest
from prometheus_client import CollectorRegistry

from ingest_service.errors import DatabaseUnavailableError
from ingest_service.events.rejection import Reason
from ingest_service.telemetry.worker_metrics import WorkerMetrics

from .test_projection import row

LABELS = {"topic": "events", "partition": "3"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> WorkerMetrics:
    return WorkerMetrics(registry)


def test_committed_batch_is_counted_once(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    """Rows, their projection and the batch's duration are there after one call."""
    metrics.written([row(), row(decision="deny")], seconds=0.02)
    read = registry.get_sample_value
    written = {"event_type": "tool_invoke", "destination": "database"}
    assert read("sark_audit_events_written_total", written) == 2
    denied = {"event_type": "tool_invoke", "decision": "deny"}
    assert read("sark_gateway_audit_events_total", denied) == 1
    took = {"destination": "database"}
    assert read("sark_audit_write_duration_seconds_count", took) == 1
    assert read("sark_audit_write_duration_seconds_bucket", took | {"le": "0.025"}) == 1
    assert read("sark_audit_write_duration_seconds_bucket", took | {"le": "0.01"}) == 0


def test_reactions_are_counted(metrics: WorkerMetrics, registry: CollectorRegistry) -> None:
    """Quarantine by reason, duplicates, fences, and errors by their name, without their text."""
    metrics.quarantined(Counter({Reason.NOT_JSON: 2}))
    metrics.duplicates(4)
    metrics.fenced()
    metrics.write_error(DatabaseUnavailableError("canary"))
    read = registry.get_sample_value
    assert read("sark_audit_quarantined_total", {"reason": "not_json"}) == 2
    assert read("sark_audit_duplicates_total") == 4
    assert read("sark_audit_fenced_writes_total") == 1
    error = {"destination": "database", "error_type": "DatabaseUnavailableError"}
    assert read("sark_audit_write_errors_total", error) == 1


def test_lag_is_end_minus_durable(metrics: WorkerMetrics, registry: CollectorRegistry) -> None:
    """Lag follows either offset, and is unknown while one of them is."""
    metrics.end_offset("events", 3, 100)
    assert registry.get_sample_value("sark_audit_consumer_lag", LABELS) is None
    metrics.durable_offset("events", 3, 60)
    assert registry.get_sample_value("sark_audit_consumer_lag", LABELS) == 40
    metrics.end_offset("events", 3, 160)
    assert registry.get_sample_value("sark_audit_consumer_lag", LABELS) == 100


def test_lag_is_never_negative(metrics: WorkerMetrics, registry: CollectorRegistry) -> None:
    """The durable offset passes an end that was asked seconds ago."""
    metrics.end_offset("events", 3, 100)
    metrics.durable_offset("events", 3, 160)
    assert registry.get_sample_value("sark_audit_consumer_lag", LABELS) == 0


def test_partition_that_went_away_shows_no_more(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    """A worker that lost a partition would otherwise report its lag for ever."""
    metrics.end_offset("events", 3, 100)
    metrics.durable_offset("events", 3, 60)
    metrics.forget_partition("events", 3)
    for name in ("topic_end_offset", "durable_offset", "consumer_lag"):
        assert registry.get_sample_value(f"sark_audit_{name}", LABELS) is None


def test_delay_of_a_clock_ahead_is_zero(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    """A broker whose clock is ahead makes no negative sum."""
    metrics.delays({-5.0: 1, 2.5: 2})
    read = registry.get_sample_value
    assert read("sark_audit_end_to_end_delay_seconds_sum") == 5.0
    assert read("sark_audit_end_to_end_delay_seconds_bucket", {"le": "0.05"}) == 1
