"""A real Prometheus scrapes real workers: the alerts fire from real faults, and only then.

The rules are those that are shipped, with each duration a thirtieth (`stage/hurried_rules.py`).
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from prometheus_client import CollectorRegistry, start_http_server

from ingest_service.publisher import AuditPublisher, BufferFull, GatewayAuditEvent
from ingest_service.settings import KafkaSettings
from promql import rules
from stack.state import LOOPBACK
from stage.hurried_rules import hurried_rules
from stage.pipeline import HURRIED, Pipeline, pipeline
from stage.prometheus import Prometheus, scraping
from stage.silent import asked, silent
from stage.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from stage import Worker

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.kafka,
    pytest.mark.database,
    pytest.mark.timeout(420),
]

GATEWAY = {
    rule["alert"]: rule
    for rule in rules()
    if "alert" in rule and rule["labels"]["component"] == "gateway"
}
FAST = {"STAGE_CONSTANTS": HURRIED}
END_OTHERS = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""


@pytest_asyncio.fixture
async def whole(
    kafka_bootstrap: str,
    topic_name: str,
    fresh_database: Callable[[str], AbstractAsyncContextManager[str]],
    tmp_path: Path,
) -> AsyncIterator[Pipeline]:
    """Yield topics, a database and both SIEMs, without a worker; Kafka keeps records for 40 s."""
    async with (
        fresh_database("timescaledb") as dsn,
        pipeline(kafka_bootstrap, topic_name, dsn, tmp_path, **{"retention.ms": "40000"}) as whole,
    ):
        yield whole


async def test_a_bad_day_at_the_gateway(whole: Pipeline, tmp_path: Path):
    """Every alert on the gateway's events fires from real events, each with its texts."""
    whole.persist(**FAST)
    with scraping(tmp_path / "p", whole.targets, hurried_rules(tmp_path / "rules")) as prometheus:
        await prometheus.fire("NoGatewayRequests", "Watchdog")
        async with whole.traffic(denied_late_and_failed, rate=2000):
            await prometheus.fire(*set(GATEWAY) - {"NoGatewayRequests"}, seconds=120)
            assert "NoGatewayRequests" not in await prometheus.firing()
            await texts_are_whole(prometheus)
            whole.stage.start_heir(**FAST)  # of another group, so that both write everything
            await prometheus.fire("AuditFencedWrites", seconds=90)


async def test_outages_are_told_and_the_gateway_is_not_blamed(whole: Pipeline, tmp_path: Path):
    """SIEMs, database, topic and workers fail one after the other; each alert fires for its own."""
    persister = whole.persist(INGEST_EVENTS__GARBAGE_LIMIT="300", **FAST)
    forwarder = whole.forward(**FAST)
    targets = whole.targets
    async with cut_off_gateway() as (publisher, address):
        targets["gateway"] = [address]
        hurried = hurried_rules(tmp_path / "rules")
        with scraping(tmp_path / "p", targets, hurried) as prometheus:
            prometheus.unanswered = {query for query in asked() if silent(query)}
            async with whole.traffic(allowed, rate=150, partitions=(0, 2)):
                await prometheus.answer(["sark:audit_ingest_current == 1"])
                assert await prometheus.firing() <= {"Watchdog", "AuditPublisherBufferFilling"}
                await publishers_go_wrong(whole, publisher, prometheus)
                await sinks_go_wrong(whole, prometheus)
                await all_is_away(whole, prometheus, persister)
                await records_leave_kafka(whole, prometheus, forwarder)
                await tables_are_locked(whole, prometheus)
                await texts_are_whole(prometheus)
                assert not await prometheus.firing() & set(GATEWAY)
            for worker in (*whole.stage.workers, *whole.sinks.workers):
                worker.end()
            await prometheus.fire("AuditTopicUnwatched", "SinkPartitionWithoutOwner")
            assert prometheus.unanswered == set()


def test_no_alert_is_left_out():
    """Each alert is seen firing above, but for one that waits an hour: its expression answers."""
    source = Path(__file__).read_text()
    named = {rule["alert"] for rule in rules() if f'"{rule.get("alert")}"' in source}
    assert named | set(GATEWAY) == {rule["alert"] for rule in rules() if "alert" in rule}


async def sinks_go_wrong(whole: Pipeline, prometheus: Prometheus) -> None:
    """Splunk acknowledges nothing; Datadog refuses one event for good."""
    whole.sinks.siem.splunk.fault(lose=True, times=0)
    whole.sinks.siem.datadog.fault(status=400, match="refuse-me", times=0)
    await whole.stage.produce([named("refuse-me")])
    await prometheus.fire("SinkAcknowledgementsExpiring", "SinkDeadLetters")


async def publishers_go_wrong(
    whole: Pipeline, publisher: AuditPublisher, prometheus: Prometheus
) -> None:
    """One fills partition 1 with garbage, one tells nonsense, one cannot reach Kafka."""
    nonsense = {"event_type": "telemetry", "metadata": {"telemetry": {"gauges": 7}}}
    await whole.stage.produce([as_value(nonsense | {"gateway_request_id": "t"})], partition=0)
    await whole.stage.produce([b"garbage"] * 400, partition=1)
    await prometheus.fire("AuditGarbageLimitReached", "AuditQuarantineSpike")

    async def refused_and_told() -> bool:
        with pytest.raises(BufferFull):
            publisher.enqueue(GatewayAuditEvent(**decided("allow")))
        return "AuditEventsNotRecorded" in await prometheus.firing()

    await until(refused_and_told, what="events that are refused are told")
    await prometheus.fire("AuditPublisherBufferFilling")


async def all_is_away(whole: Pipeline, prometheus: Prometheus, persister: Worker) -> None:
    """Splunk answers nothing any more, and every persister is dead."""
    whole.sinks.siem.splunk.script.clear()
    whole.sinks.siem.splunk.fault(status=503, times=0)
    persister.signal(signal.SIGKILL)
    await prometheus.fire(
        "AuditEventLoggingFailed",
        "AuditPartitionWithoutOwner",
        "AuditLagGrowing",
        "IngestWorkerDown",
        "SinkBreakerOpen",
        "SinkNotConnected",
        "SinkFallingBehind",
        "SinkOldestUnsentPastHalfRetention",
        seconds=120,
    )


async def records_leave_kafka(whole: Pipeline, prometheus: Prometheus, forwarder: Worker) -> None:
    """Partition 0 loses what nobody has yet, and the workers come back to that."""
    await delete_records(whole.stage.bootstrap, TopicPartition(whole.stage.topic, 0))
    forwarder.signal(signal.SIGKILL)
    await forwarder.ended()
    whole.persist(INGEST_DATABASE__CAPACITY_BYTES="1000", **FAST)
    whole.forward(**FAST)
    await prometheus.fire("AuditPartitionStopped", "SinkPartitionStopped", seconds=90)


async def tables_are_locked(whole: Pipeline, prometheus: Prometheus) -> None:
    """Somebody's statement holds the persister up; the storage that was planned is used up."""
    connection = await asyncpg.connect(whole.stage.dsn)
    try:
        async with connection.transaction():
            await connection.execute("lock table gateway_audit_events in access exclusive mode")
            await prometheus.fire("AuditIngestLate")
            await connection.execute(END_OTHERS)
            await prometheus.answer(["sum(sark_audit_write_errors_total) > 0"])
    finally:
        await connection.close()
    storage = next(rule for rule in rules() if rule.get("alert") == "AuditStorageFilling")
    await prometheus.answer([storage["expr"]])  # it waits an hour


async def delete_records(bootstrap: str, place: TopicPartition) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_records({place: RecordsToDelete(before_offset=-1)})
    finally:
        await admin.close()


@asynccontextmanager
async def cut_off_gateway() -> AsyncIterator[tuple[AuditPublisher, str]]:
    """Yield a publisher whose buffer is full since it never reaches a broker, and its metrics' address."""
    registry = CollectorRegistry()
    server, thread = start_http_server(0, LOOPBACK, registry)
    told: list[object] = []
    try:
        async with AuditPublisher(
            KafkaSettings(),
            max_events=10,
            close_seconds=0,
            registry=registry,
            on_not_recorded=told.append,
            open_producer=asyncio.Future,
        ) as publisher:
            for _ in range(10):
                publisher.enqueue(GatewayAuditEvent(**decided("allow")))
            yield publisher, f"{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def texts_are_whole(prometheus: Prometheus) -> None:
    """No summary or description of an alert has a hole where a value or a label should be."""
    for alert in await prometheus.alerts():
        for text in alert["annotations"].values():
            assert "<" not in text, text
            assert "  " not in text, text


def decided(decision: str, **metadata: Any) -> dict[str, Any]:
    """Return a decision's fields, but for its time and id."""
    return {
        "event_type": "tool_invoke",
        "user_id": "ada@example.com",
        "server_name": "github",
        "tool_name": "create_issue",
        "decision": decision,
        "reason": "role",
        "gateway_request_id": "req-1",
        "metadata": {"action": "invoke", "latency_ms": 3.0, "cache_hit": True} | metadata,
    }


def as_value(fields: dict[str, Any]) -> bytes:
    """Return an event of now; its id is derived from its place."""
    return json.dumps(fields | {"timestamp": time.time()}).encode()


def allowed(_: int) -> bytes:
    """Return an event of a good day."""
    return as_value(decided("allow"))


def named(reason: str) -> bytes:
    """Return an event that a sink can be told to refuse."""
    return as_value(decided("allow") | {"reason": reason})


def denied_late_and_failed(number: int) -> bytes:
    """Return an event of a bad day: of any two one is a call of a tool, one an agent's message."""
    error = {"operation": "call_tool", "error_type": "timeout"}
    fields = decided("deny", latency_ms=400.0, cache_hit=False, error=error)
    if number % 2:
        kinds = {"source_type": "service", "target_type": "tool"}
        fields |= {"event_type": "a2a_communication", "metadata": fields["metadata"] | kinds}
    return as_value(fields)
