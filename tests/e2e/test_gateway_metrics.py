"""From the gateway's own words to /metrics: through the publisher, Kafka and a real persister."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from ingest_service.publisher import AuditPublisher, GatewayAuditEvent
from ingest_service.settings import KafkaSettings
from ingest_service.telemetry.declaration import Kind, Source
from ingest_service.telemetry.metrics import CATALOGUE, TOLD
from ingest_service.telemetry.metrics_labels import GATEWAY_INSTANCE
from stage import until

if TYPE_CHECKING:
    from stage import Stage, Worker

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scraped(worker: Worker) -> Samples:
    _, body = await worker.get("/metrics")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


def read(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def decision(**fields: object) -> GatewayAuditEvent:
    return GatewayAuditEvent(
        **{
            "event_type": "tool_invoke",
            "user_id": "ada@example.com",
            "server_name": "github",
            "tool_name": "search",
            "decision": "allow",
            "reason": "role",
            "gateway_request_id": "req-1",
            "metadata": {"action": "invoke", "latency_ms": 80, "cache_hit": True},
            **fields,
        }
    )


def told_everything(publisher: AuditPublisher) -> None:
    """Use each of the publisher's helpers, and tell every name that there is."""
    publisher.record_authorization("allow", "invoke", "github", latency_seconds=0.004)
    publisher.record_a2a_authorization("deny", "service", "tool")
    publisher.record_cache_hit()
    publisher.record_cache_miss()
    publisher.record_client_error("connect", "refused")
    publisher.record_audit_event("tool_invoke", "allow")
    for name, metric in TOLD.items():
        labels = {label.name: "x" for label in metric.labels if label is not GATEWAY_INSTANCE}
        if metric.kind is Kind.GAUGE:
            publisher.record_gauge(name, 7, **labels)
        elif metric.kind is Kind.HISTOGRAM:
            publisher.record_duration(name, 0.004, **labels)
        else:
            publisher.record_counter(name, 2, **labels)


async def published(stage: Stage) -> None:
    """Publish two decisions, one of them twice, and everything else that a gateway can tell."""
    kafka = KafkaSettings(bootstrap_servers=stage.bootstrap, topic=stage.topic)
    async with AuditPublisher(kafka, instance="gw-1", registry=CollectorRegistry()) as publisher:
        first = decision(id="0190a3c2-7b1e-7c3d-8f2a-1b2c3d4e5f60")
        await publisher.log_gateway_event(first)
        await publisher.log_gateway_event(first)
        told_everything(publisher)
        publisher.enqueue(decision(event_type="a2a_communication", decision="deny"))


async def test_what_a_gateway_says_is_shown_once(stage: Stage) -> None:
    """Events and telemetry arrive under the catalogue's names; what was there already adds nothing."""
    worker = stage.start_worker()
    await published(stage)

    async def is_counted() -> bool:
        samples = await scraped(worker)
        return (
            read(samples, "sark_audit_duplicates_total") == 1
            and read(
                samples,
                "sark_gateway_audit_events_total",
                event_type="a2a_communication",
                decision="deny",
            )
            == 1
        )

    await until(is_counted, what="everything is counted")
    samples = await scraped(worker)
    request = {"decision": "allow", "action": "invoke", "server": "github"}
    assert read(samples, "sark_gateway_authz_requests_total", **request) == 1
    assert read(samples, "sark_gateway_reported_authorizations_total", **request) == 1
    latency = {"action": "invoke"}
    assert read(samples, "sark_gateway_authz_latency_seconds_count", **latency) == 2
    assert read(samples, "sark_gateway_authz_latency_seconds_bucket", **latency, le="0.05") == 1
    connections = {"connection_type": "x", "gateway_instance": "gw-1"}
    assert read(samples, "sark_gateway_active_connections", **connections) == 7
    error = {"operation": "connect", "error_type": "refused"}
    assert read(samples, "sark_gateway_client_errors_total", **error) == 1
    # An event's hit twice (both decisions), the helper's once, and two by its name.
    assert read(samples, "sark_gateway_cache_hits_total") == 5
    assert read(samples, "sark_gateway_cache_misses_total") == 3
    _assert_every_name_arrived(samples)


async def test_database_and_topic_are_asked_for_figures(stage: Stage) -> None:
    """Size, how full that is, users and retention are there soon after the start."""
    worker = stage.start_worker(INGEST_DATABASE__CAPACITY_BYTES="1GiB")

    async def are_there() -> bool:
        samples = await scraped(worker)
        size = read(samples, "sark_audit_log_size_bytes")
        ratio = read(samples, "sark_audit_storage_utilization_ratio")
        retention = read(samples, "sark_audit_topic_retention_seconds", topic=stage.topic)
        users = read(samples, "sark_gateway_unique_users")
        if None in {size, ratio, retention, users}:
            return False
        assert (ratio, retention, users) == (size / (1 << 30), 604_800, 0)
        return True

    await until(are_there, what="the figures are shown")


async def test_partition_that_waits_for_an_operator_says_why(stage: Stage) -> None:
    """The alert that wakes somebody names the runbook's case; the neighbours go on."""
    worker = stage.start_worker(INGEST_EVENTS__GARBAGE_LIMIT="2")
    await stage.produce([b"garbage"] * 3, partition=1)
    place = {"topic": stage.topic, "partition": "1", "reason": "garbage_limit"}

    async def is_stopped() -> bool:
        return read(await scraped(worker), "sark_audit_partition_stopped", **place) == 1

    await until(is_stopped, what="the stopped partition is shown")


def _assert_every_name_arrived(samples: Samples) -> None:
    names = {name for name, _ in samples}
    for metric in CATALOGUE:
        if metric.source in {Source.TELEMETRY, Source.BOTH}:
            name = f"{metric.name}_count" if metric.kind is Kind.HISTOGRAM else metric.name
            assert name in names
    ignored = [value for (name, _), value in samples.items() if "telemetry_ignored" in name]
    assert ignored
    assert sum(ignored) == 0


async def test_restarted_persister_counts_nothing_again(stage: Stage) -> None:
    """What a worker before it has counted is not a new one's to count, nor is a replay's."""
    first = stage.start_worker()
    await published(stage)
    await until(lambda: _all_are_durable(first), what="the first worker has written all")
    first.process.kill()
    await asyncio.to_thread(first.process.wait)
    heir = stage.start_heir()
    await until(lambda: _all_are_durable(heir), what="the next worker has taken over")
    samples = await scraped(heir)
    assert not [name for name, _ in samples if name.startswith("sark_gateway_authz")]


async def _all_are_durable(worker: Worker) -> bool:
    samples = await scraped(worker)
    offsets = [value for (name, _), value in samples.items() if name.endswith("durable_offset")]
    return sum(offsets) == 3


async def test_worker_without_a_partition_shows_where_the_topic_ends(stage: Stage) -> None:
    """With more workers than partitions the spare one still shows the end of every partition."""
    workers = [stage.start_worker() for _ in range(4)]
    await published(stage)

    async def all_show_all() -> bool:
        shown = [await scraped(worker) for worker in workers]
        ends = [
            [v for (name, _), v in samples.items() if name == "sark_audit_topic_end_offset"]
            for samples in shown
        ]
        durable = [
            [v for (name, _), v in samples.items() if name == "sark_audit_durable_offset"]
            for samples in shown
        ]
        return all(len(each) == 3 for each in ends) and sorted(map(len, durable)) == [0, 1, 1, 1]

    await until(all_show_all, what="a spare worker shows three ends and no durable offset")
