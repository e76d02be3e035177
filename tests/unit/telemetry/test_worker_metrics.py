from __future__ import annotations

from collections import Counter

import pytest
from prometheus_client import CollectorRegistry

from ingest_service import __version__
from ingest_service.errors import DatabaseUnavailableError, StopReason
from ingest_service.events.rejection import Reason
from ingest_service.shapes import Storage
from ingest_service.telemetry.metrics import CATALOGUE
from ingest_service.telemetry.proof_metrics import ProofMetrics
from ingest_service.telemetry.publisher_metrics import PublisherMetrics
from ingest_service.telemetry.sink_metrics import SinkMetrics
from ingest_service.telemetry.storage_metrics import StorageMetrics
from ingest_service.telemetry.worker_metrics import WorkerMetrics, new_registry

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
    metrics.end_offsets("events", {3: 100})
    assert registry.get_sample_value("sark_audit_consumer_lag", LABELS) is None
    metrics.durable_offset("events", 3, 60)
    assert registry.get_sample_value("sark_audit_consumer_lag", LABELS) == 40
    metrics.end_offsets("events", {3: 160})
    assert registry.get_sample_value("sark_audit_consumer_lag", LABELS) == 100


def test_lag_is_never_negative(metrics: WorkerMetrics, registry: CollectorRegistry) -> None:
    """The durable offset passes an end that was asked seconds ago."""
    metrics.end_offsets("events", {3: 100})
    metrics.durable_offset("events", 3, 160)
    assert registry.get_sample_value("sark_audit_consumer_lag", LABELS) == 0


def test_partition_that_went_away_shows_no_more(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    """A worker that lost a partition would otherwise report its lag for ever."""
    metrics.end_offsets("events", {3: 100})
    metrics.durable_offset("events", 3, 60)
    metrics.forget_partition("events", 3)
    for name in ("durable_offset", "consumer_lag"):
        assert registry.get_sample_value(f"sark_audit_{name}", LABELS) is None


def test_end_of_every_partition_is_shown_and_lag_of_ones_own(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    """A partition that nobody owns can be seen: it has an end and no durable offset."""
    metrics.durable_offset("events", 3, 60)
    metrics.end_offsets("events", {3: 100, 4: 7})
    other = {"topic": "events", "partition": "4"}
    assert registry.get_sample_value("sark_audit_topic_end_offset", other) == 7
    assert registry.get_sample_value("sark_audit_consumer_lag", other) is None
    metrics.end_offsets("events", {3: 100})
    assert registry.get_sample_value("sark_audit_topic_end_offset", other) is None


def test_stopped_partition_shows_one_reason(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    """While it waits it is 1 under the reason of now, and when it moves there is no series."""
    read = registry.get_sample_value
    for reason in (StopReason.GAP, StopReason.RECREATED):
        metrics.show_stopped("events", 3, reason)
    assert read("sark_audit_partition_stopped", LABELS | {"reason": "recreated"}) == 1
    assert read("sark_audit_partition_stopped", LABELS | {"reason": "gap"}) is None
    metrics.show_moving("events", 3)
    assert read("sark_audit_partition_stopped", LABELS | {"reason": "recreated"}) is None


def test_worker_says_what_it_is(registry: CollectorRegistry) -> None:
    """Role and version are a series of their own, to join with."""
    SinkMetrics(registry)
    labels = {"role": "forwarder", "version": __version__}
    assert registry.get_sample_value("sark_audit_worker_info", labels) == 1


def test_retention_for_ever_has_no_series(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    """An alert on half of the retention has nothing to compare with where there is none."""
    metrics.topic_retention("events", 3600.0)
    topic = {"topic": "events"}
    assert registry.get_sample_value("sark_audit_topic_retention_seconds", topic) == 3600
    metrics.topic_retention("events", None)
    assert registry.get_sample_value("sark_audit_topic_retention_seconds", topic) is None


def test_storage_is_a_part_of_the_capacity_when_that_is_known(registry: CollectorRegistry) -> None:
    """Size, and how full that is; what is new since the last answer adds up."""
    storage = StorageMetrics(registry, capacity_bytes=1000)
    storage.storage(Storage(size_bytes=250, new_chunks=0, new_purges=0))
    storage.storage(Storage(size_bytes=500, new_chunks=2, new_purges=1))
    storage.unique_users(12)
    read = registry.get_sample_value
    assert read("sark_audit_log_size_bytes") == 500
    assert read("sark_audit_storage_utilization_ratio") == 0.5
    assert read("sark_audit_log_rotations_total") == 2
    assert read("sark_audit_retention_purges_total") == 1
    assert read("sark_gateway_unique_users") == 12


def test_without_a_capacity_nothing_is_said_of_it(registry: CollectorRegistry) -> None:
    """A ratio to nothing would be a lie that an alert believes."""
    storage = StorageMetrics(registry, capacity_bytes=None)
    storage.storage(Storage(size_bytes=250, new_chunks=0, new_purges=0))
    assert registry.get_sample_value("sark_audit_storage_utilization_ratio") is None


def test_every_declared_metric_is_registered() -> None:
    """Nothing is declared that nobody shows; the process's own metrics are there too."""
    persister, forwarder, gateway = new_registry(), new_registry(), CollectorRegistry()
    WorkerMetrics(persister)
    StorageMetrics(persister, None)
    ProofMetrics(persister)
    SinkMetrics(forwarder)
    PublisherMetrics(gateway, lambda: 0, 1)
    shown = {family.name for one in (persister, forwarder, gateway) for family in one.collect()}
    assert {declaration.name.removesuffix("_total") for declaration in CATALOGUE} == {
        name for name in shown if name.startswith("sark_")
    }
    assert {"process_resident_memory_bytes", "python_info"} <= shown


def test_delay_of_a_clock_ahead_is_zero(
    metrics: WorkerMetrics, registry: CollectorRegistry
) -> None:
    """A broker whose clock is ahead makes no negative sum."""
    metrics.delays({-5.0: 1, 2.5: 2})
    read = registry.get_sample_value
    assert read("sark_audit_end_to_end_delay_seconds_sum") == 5.0
    assert read("sark_audit_end_to_end_delay_seconds_bucket", {"le": "0.05"}) == 1
