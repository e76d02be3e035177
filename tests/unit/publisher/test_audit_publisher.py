"""A gateway's view of its publisher: recorded, or told that it is not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from ingest_service.publisher import (
    AuditPublisher,
    BufferFull,
    GatewayAuditEvent,
    NotRecorded,
)
from ingest_service.settings import KafkaSettings
from publishing import until
from publishing.producers import FakeBroker

Open = Callable[..., Any]


def an_event(**fields: Any) -> GatewayAuditEvent:
    ordinary = {
        "event_type": "tool_invoke",
        "decision": "allow",
        "reason": "policy allows",
        "gateway_request_id": "req-1",
    }
    return GatewayAuditEvent(**(ordinary | fields))


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def open_publisher(broker: FakeBroker, registry: CollectorRegistry) -> AsyncIterator[Open]:
    """Yield what opens publishers on the fake broker; they are closed after the test."""
    async with AsyncExitStack() as stack:

        async def open_one(**settings: Any) -> AuditPublisher:
            own = {"deadline_seconds": 10.0, "close_seconds": 0.0, "registry": registry} | settings
            publisher = AuditPublisher(KafkaSettings(), open_producer=broker.open, **own)
            return await stack.enter_async_context(publisher)

        yield open_one


def telemetry_in(value: bytes) -> dict[str, Any] | None:
    return json.loads(value)["metadata"].get("telemetry")


def counter(telemetry: dict[str, Any] | None, name: str) -> float:
    series = (telemetry or {}).get("counters", [])
    return sum(item["delta"] for item in series if item["name"] == name)


async def test_an_acknowledged_event_returns_its_audit_id(
    open_publisher: Open, broker: FakeBroker
) -> None:
    """The id that the gateway gets is the id in the record."""
    publisher = await open_publisher()
    audit_id = await publisher.log_gateway_event(an_event())
    [(key, value)] = broker.records
    assert json.loads(value)["id"] == audit_id
    assert key == b"req-1"


async def test_an_id_of_the_callers_is_kept(open_publisher: Open, broker: FakeBroker) -> None:
    """Who names an event can find it under that name."""
    chosen = UUID("0190f5fe-0000-7000-8000-000000000001")
    publisher = await open_publisher()
    assert await publisher.log_gateway_event(an_event(id=chosen)) == str(chosen)
    assert json.loads(broker.values[0])["id"] == str(chosen)


async def test_the_deadline_fails_closed(open_publisher: Open, broker: FakeBroker) -> None:
    """No broker, no "recorded": the caller is told in time, and that nothing was sent."""
    broker.away = True
    publisher = await open_publisher(deadline_seconds=0.05)
    with pytest.raises(NotRecorded) as refusal:
        await publisher.log_gateway_event(an_event())
    assert refusal.value.maybe_recorded is False
    assert "the broker is away" in str(refusal.value)


async def test_an_event_on_its_way_may_have_arrived(
    open_publisher: Open, broker: FakeBroker
) -> None:
    """When the answer stays out, the exception does not claim that the event is nowhere."""
    broker.holds = True
    publisher = await open_publisher(deadline_seconds=0.05)
    await publisher.connected(10)
    with pytest.raises(NotRecorded) as refusal:
        await publisher.log_gateway_event(an_event())
    assert refusal.value.maybe_recorded is True


async def test_a_retry_sends_the_same_record(open_publisher: Open, broker: FakeBroker) -> None:
    """The same event again, after an answer that stayed out, has the same id and the same bytes."""
    broker.holds = True
    publisher = await open_publisher(deadline_seconds=0.05)
    await publisher.connected(10)
    event = an_event()
    with pytest.raises(NotRecorded) as refusal:
        await publisher.log_gateway_event(event)
    publisher.record_cache_hit()
    broker.acknowledge()
    assert await publisher.log_gateway_event(event) == refusal.value.audit_id
    first, second = broker.values
    assert first == second


async def test_two_events_with_equal_content_are_two_events(open_publisher: Open) -> None:
    """Only the very same object is a retry: an equal one is another decision."""
    publisher = await open_publisher()
    one = an_event()
    other = msgspec.structs.replace(one)
    first = await publisher.log_gateway_event(one)
    assert await publisher.log_gateway_event(other) != first


async def test_enqueue_returns_before_the_event_is_recorded(
    open_publisher: Open, broker: FakeBroker
) -> None:
    """Fail open: the gateway goes on, the record follows, and its callback hears of it."""
    heard: list[NotRecorded | None] = []
    publisher = await open_publisher()
    audit_id = publisher.enqueue(an_event(), heard.append)
    assert broker.records == []
    await until(lambda: heard)
    assert heard == [None]
    assert json.loads(broker.values[0])["id"] == audit_id


async def test_a_full_buffer_refuses_by_raising(
    open_publisher: Open, broker: FakeBroker, registry: CollectorRegistry
) -> None:
    """The third of two is refused to the caller's face, counted, and nothing is dropped."""
    broker.away = True
    publisher = await open_publisher(max_events=2)
    publisher.enqueue(an_event())
    publisher.enqueue(an_event())
    with pytest.raises(BufferFull):
        publisher.enqueue(an_event())
    with pytest.raises(NotRecorded):
        await publisher.log_gateway_event(an_event())
    sample = registry.get_sample_value
    assert sample("sark_audit_queue_depth") == 2
    assert sample("sark_audit_queue_capacity") == 2
    assert sample("sark_audit_publisher_events_total", {"outcome": "refused"}) == 2
    assert sample("sark_audit_queue_drops_total") == 0


async def test_what_close_leaves_behind_is_reported(
    open_publisher: Open, broker: FakeBroker
) -> None:
    """Each queued event that can not be flushed is told to `on_not_recorded` by its id."""
    broker.away = True
    lost: list[NotRecorded] = []
    publisher = await open_publisher(on_not_recorded=lost.append, close_seconds=0.01)
    ids = {publisher.enqueue(an_event()) for _ in range(3)}
    assert await publisher.close() == 3
    assert {failure.audit_id for failure in lost} == ids


async def test_a_callback_that_fails_harms_nothing(
    open_publisher: Open, broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in the gateway's callback is logged; the publisher goes on."""

    def broken(failure: NotRecorded | None) -> None:
        raise ZeroDivisionError

    publisher = await open_publisher()
    publisher.enqueue(an_event(), broken)
    await publisher.log_gateway_event(an_event())
    assert len(broker.records) == 2
    assert "a callback of the gateway failed" in caplog.text


async def test_a_mistake_of_the_caller_is_told_at_once(
    open_publisher: Open, broker: FakeBroker
) -> None:
    """A decision that is none never reaches Kafka: the caller hears why."""
    publisher = await open_publisher()
    with pytest.raises(ValueError, match="allow or deny"):
        await publisher.log_gateway_event(an_event(decision="maybe"))
    with pytest.raises(ValueError, match="milliseconds"):
        publisher.enqueue(an_event(timestamp=1.8e12))
    assert broker.records == []


async def test_trimmed_events_are_counted(
    open_publisher: Open, broker: FakeBroker, registry: CollectorRegistry
) -> None:
    """How often arguments had to be cut is to be seen on the gateway's own metrics page."""
    publisher = await open_publisher()
    await publisher.log_gateway_event(an_event(metadata={"params": "x" * 2_000_000}))
    await publisher.log_gateway_event(an_event())
    assert registry.get_sample_value("sark_audit_publisher_trimmed_events_total") == 1
    recorded = registry.get_sample_value(
        "sark_audit_publisher_events_total", {"outcome": "recorded"}
    )
    assert recorded == 2


async def test_close_leaves_the_registry(registry: CollectorRegistry) -> None:
    """A gateway can open a second publisher after the first, with the same registry."""
    for _ in range(2):
        async with AuditPublisher(
            KafkaSettings(), open_producer=FakeBroker().open, registry=registry
        ):
            assert registry.get_sample_value("sark_audit_queue_depth") == 0
    assert registry.get_sample_value("sark_audit_queue_depth") is None


async def test_closing_twice_is_closing_once(open_publisher: Open, broker: FakeBroker) -> None:
    """A second close finds nothing to do, and nothing is taken after the first."""
    publisher = await open_publisher()
    await publisher.close()
    assert await publisher.close() == 0
    with pytest.raises(NotRecorded, match="closed"):
        publisher.enqueue(an_event())


async def test_connected_tells_a_readiness_probe(open_publisher: Open, broker: FakeBroker) -> None:
    """The gateway can ask whether there is a broker, without publishing anything."""
    broker.away = True
    publisher = await open_publisher()
    assert await publisher.connected(0) is False
    broker.away = False
    assert await publisher.connected(10) is True


async def test_telemetry_rides_with_the_next_queued_event(
    open_publisher: Open, broker: FakeBroker
) -> None:
    """What was gathered leaves with an event, names the gateway's instance, and is told once."""
    publisher = await open_publisher(instance="gateway-1", telemetry_seconds=0)
    publisher._telling.cancel()
    publisher.record_authorization("allow", "invoke", "github", 0.004)
    publisher.record_cache_miss()
    publisher.record_client_error("connect", "timeout")
    publisher.record_audit_event("tool_invoke", "allow")
    publisher.record_a2a_authorization("deny", "service", "assistant")
    publisher.record_gauge("active_connections", 7, connection_type="sse")
    publisher.enqueue(an_event())
    publisher.enqueue(an_event())
    await until(lambda: len(broker.records) == 2)
    told, nothing = map(telemetry_in, broker.values)
    assert told is not None
    assert told["instance"] == "gateway-1"
    assert {item["name"] for item in told["counters"]} == {
        "authorizations",
        "cache_misses",
        "client_errors",
        "audit_events",
        "a2a_authorizations",
    }
    assert told["histograms"][0]["deltas"] == [1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert told["gauges"] == [
        {"name": "active_connections", "labels": {"connection_type": "sse"}, "value": 7}
    ]
    assert nothing is None


async def test_telemetry_travels_alone_when_no_event_takes_it(
    open_publisher: Open, broker: FakeBroker
) -> None:
    """A quiet gateway shows that it is alive, with what it has to tell."""
    publisher = await open_publisher(telemetry_seconds=0.02)
    publisher.record_cache_hit()
    await until(lambda: broker.records)
    heartbeat = json.loads(broker.values[0])
    assert heartbeat["event_type"] == "telemetry"
    assert heartbeat["decision"] is None
    assert counter(telemetry_in(broker.values[0]), "cache_hits") == 1


async def test_close_sends_the_last_telemetry(open_publisher: Open, broker: FakeBroker) -> None:
    """Counts since the last heartbeat are not lost by a restart of the gateway."""
    publisher = await open_publisher(close_seconds=10)
    publisher.record_cache_hit()
    assert await publisher.close() == 0
    assert counter(telemetry_in(broker.values[-1]), "cache_hits") == 1


async def test_telemetry_of_an_event_that_failed_is_told_later(
    open_publisher: Open, broker: FakeBroker
) -> None:
    """Deltas go back when their event is refused, and arrive with another, once."""
    broker.max_record_bytes = 2000
    heard: list[NotRecorded | None] = []
    publisher = await open_publisher(telemetry_seconds=0)
    publisher._telling.cancel()
    publisher.record_cache_hit()
    publisher.enqueue(an_event(reason="x" * 3000), heard.append)
    await until(lambda: heard)
    publisher.record_cache_hit()
    publisher.enqueue(an_event(), heard.append)
    await until(lambda: len(heard) == 2)
    assert [counter(telemetry_in(value), "cache_hits") for value in broker.values] == [2]


async def test_telemetry_acknowledged_late_is_not_told_twice(
    open_publisher: Open, broker: FakeBroker
) -> None:
    """While its event is on its way nothing is put back, so a late answer doubles nothing."""
    broker.holds = True
    publisher = await open_publisher(telemetry_seconds=0)
    publisher._telling.cancel()
    await publisher.connected(10)
    publisher.record_cache_hit()
    publisher.enqueue(an_event())
    publisher.enqueue(an_event())
    broker.acknowledge()
    await until(lambda: len(broker.records) == 2)
    assert sum(counter(telemetry_in(value), "cache_hits") for value in broker.values) == 1


async def test_telemetry_goes_back_when_the_caller_made_a_mistake(
    open_publisher: Open, broker: FakeBroker
) -> None:
    """An event that was never taken takes no counts with it."""
    publisher = await open_publisher(telemetry_seconds=0)
    publisher._telling.cancel()
    publisher.record_cache_hit()
    with pytest.raises(ValueError, match="decision"):
        publisher.enqueue(an_event(decision=None))
    publisher.enqueue(an_event())
    await until(lambda: broker.records)
    assert counter(telemetry_in(broker.values[0]), "cache_hits") == 1
