"""The publisher on a real broker: recorded means stored, and trouble means told."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from ingest_service.events.decode import decode
from ingest_service.events.record import Row
from ingest_service.publisher import AuditPublisher, GatewayAuditEvent, NotRecorded
from ingest_service.settings import KafkaSettings
from publishing import until
from publishing.kafka import make_topic, read_topic
from stage.proxy import proxy_before

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.kafka


def an_event(**fields: Any) -> GatewayAuditEvent:
    ordinary = {
        "event_type": "tool_invoke",
        "decision": "deny",
        "reason": "no rule allows it",
        "gateway_request_id": "req-1",
    }
    return GatewayAuditEvent(**(ordinary | fields))


@asynccontextmanager
async def publishing(
    bootstrap: str, topic: str = "unused", **settings: Any
) -> AsyncIterator[AuditPublisher]:
    own = {"registry": CollectorRegistry(), "deadline_seconds": 20.0} | settings
    kafka = KafkaSettings(bootstrap_servers=bootstrap, topic=topic)
    async with AuditPublisher(kafka, **own) as publisher:
        yield publisher


@pytest.fixture
async def topic(kafka_bootstrap: str, topic_name: str) -> str:
    await make_topic(kafka_bootstrap, topic_name)
    return topic_name


@pytest.fixture
def black_hole() -> Iterator[str]:
    """Yield an address that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


async def test_a_recorded_event_is_in_kafka_and_decodes_to_its_row(
    kafka_bootstrap: str, topic: str
) -> None:
    """The record has the request id as key and becomes a row with the id that was returned."""
    async with publishing(kafka_bootstrap, topic) as publisher:
        audit_id = await publisher.log_gateway_event(an_event(user_id="ada"))
    [record] = await read_topic(kafka_bootstrap, topic)
    row = decode(record)
    assert isinstance(row, Row)
    assert (row.id, row.user_id, row.decision) == (audit_id, "ada", "deny")
    assert record.key == b"req-1"


async def test_arguments_of_megabytes_are_one_row_marked(kafka_bootstrap: str, topic: str) -> None:
    """Big arguments keep no decision out, compressible or not, and the row says what was cut."""
    blob = "".join(chr(97 + (index * index * 7919) % 26) for index in range(3_000_000))
    big = {"metadata": {"params": {"blob": blob, "id": 7}}}
    full = {"metadata": {"params": {"blob": blob[: 1_048_576 - 400]}}}
    async with publishing(kafka_bootstrap, topic, compression=None) as publisher:
        await publisher.log_gateway_event(an_event(**big))
        await publisher.log_gateway_event(an_event(**full))
    rows = [decode(record) for record in await read_topic(kafka_bootstrap, topic)]
    assert all(isinstance(row, Row) for row in rows)
    trimmed, whole = (json.loads(row.metadata) for row in rows if isinstance(row, Row))
    assert trimmed["params"] == {"blob": blob[:256], "id": 7}
    assert trimmed["_trimmed"]["values"][0]["path"] == "/metadata/params/blob"
    assert whole == full["metadata"]


async def test_thousands_of_queued_events_are_stored_once(kafka_bootstrap: str, topic: str) -> None:
    """A burst through the buffer loses nothing and doubles nothing."""
    async with publishing(kafka_bootstrap, topic) as publisher:
        ids = []
        for number in range(5000):
            await publisher.room()
            ids.append(publisher.enqueue(an_event(gateway_request_id=f"req-{number}")))
    stored = [json.loads(record.value)["id"] for record in await read_topic(kafka_bootstrap, topic)]
    assert sorted(stored) == sorted(ids)


async def test_a_refused_event_does_not_stop_those_after_it(
    kafka_bootstrap: str, topic_name: str
) -> None:
    """One of aiokafka's producers is unusable after a refusal; the publisher goes on with another."""
    await make_topic(kafka_bootstrap, topic_name, max_message_bytes="5000")
    async with publishing(kafka_bootstrap, topic_name, compression=None) as publisher:
        await publisher.log_gateway_event(an_event(reason="before"))
        with pytest.raises(NotRecorded, match=r"max\.message\.bytes") as refusal:
            await publisher.log_gateway_event(an_event(reason="x" * 6000))
        for number in range(10):
            await publisher.log_gateway_event(an_event(reason=f"after {number}"))
    assert refusal.value.maybe_recorded is False
    assert len(await read_topic(kafka_bootstrap, topic_name)) == 11


@pytest.mark.parametrize("nobody", ["refused", "black_hole"])
async def test_an_unreachable_broker_is_told_within_the_deadline(
    request: pytest.FixtureRequest, nobody: str
) -> None:
    """Refused or swallowed: the caller hears NotRecorded in time, and close returns in time."""
    address = "127.0.0.1:1" if nobody == "refused" else request.getfixturevalue("black_hole")
    async with publishing(address, deadline_seconds=0.3, close_seconds=0.3) as publisher:
        started = time.monotonic()
        with pytest.raises(NotRecorded) as refusal:
            await publisher.log_gateway_event(an_event())
        assert time.monotonic() - started < 2
        assert refusal.value.maybe_recorded is False
        publisher.enqueue(an_event())
        started = time.monotonic()
        assert await publisher.close() == 1
        assert time.monotonic() - started < 4


async def test_a_topic_that_is_missing_is_named(kafka_bootstrap: str, topic_name: str) -> None:
    """Forgetting `topics create` is told as such, and does not hang the gateway."""
    async with publishing(
        kafka_bootstrap, topic_name, deadline_seconds=0.3, close_seconds=0.1
    ) as publisher:
        with pytest.raises(NotRecorded) as refusal:
            await publisher.log_gateway_event(an_event())
        assert refusal.value.maybe_recorded is False


@pytest.mark.parametrize("how", ["cut", "freeze"])
async def test_a_broker_that_goes_away_does_not_hang_close(
    kafka_bootstrap: str, topic: str, how: str
) -> None:
    """With records on the wire and the broker gone, close ends, reports, and leaves no task."""
    before = asyncio.all_tasks()
    lost: list[NotRecorded] = []
    async with proxy_before(kafka_bootstrap, advertised=True) as proxy:
        async with publishing(
            proxy.address,
            topic,
            deadline_seconds=0.3,
            close_seconds=0.3,
            on_not_recorded=lost.append,
        ) as publisher:
            assert await publisher.connected(20)
            publisher.enqueue(an_event(), lambda failure: lost.append(failure) if failure else None)
            await until(lambda: len(publisher._outbox) == 0)
            if how == "cut":
                await proxy.cut()
            else:
                proxy.freeze()
            publisher.enqueue(an_event(reason="lost"))
            with pytest.raises(NotRecorded) as refusal:
                await publisher.log_gateway_event(an_event(reason="on its way"))
            started = time.monotonic()
            assert await publisher.close() == 2
            assert time.monotonic() - started < 4
    assert refusal.value.maybe_recorded is True
    assert [failure.maybe_recorded for failure in lost] == [True]
    own = {
        task
        for task in asyncio.all_tasks() - before
        if task.get_coro().__qualname__.startswith(("Sender", "MessageAccumulator", "AIOKafka"))
    }
    assert own == set()


async def test_a_broker_that_comes_back_gets_what_waited(kafka_bootstrap: str, topic: str) -> None:
    """Events published during an outage are recorded after it, without anybody's help."""
    async with proxy_before(kafka_bootstrap, advertised=True) as proxy:
        async with publishing(proxy.address, topic, deadline_seconds=60) as publisher:
            await publisher.log_gateway_event(an_event(reason="before"))
            await proxy.cut()
            waiting = asyncio.create_task(publisher.log_gateway_event(an_event(reason="during")))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            await proxy.listen()
            await waiting
    reasons = [json.loads(one.value)["reason"] for one in await read_topic(kafka_bootstrap, topic)]
    assert sorted(set(reasons)) == ["before", "during"]
