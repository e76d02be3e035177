"""A look into a topic ends, whatever the broker does."""

from __future__ import annotations

import asyncio

import pytest

from ingest_service.adapters import kafka_look
from ingest_service.errors import BrokerUnavailableError, PositionLostError
from ingest_service.settings import KafkaSettings
from ingest_service.shapes import Bounds


class Consumer:
    """A consumer that closes as it is told to."""

    def __init__(self, failure: Exception | None) -> None:
        self.stopped = False
        self._failure = failure

    async def stop(self) -> None:
        try:
            await asyncio.sleep(0 if self._failure else 3600)
        finally:
            self.stopped = True
        if self._failure is not None:
            raise self._failure


@pytest.mark.parametrize("failure", [None, OSError("gone")])
async def test_closing_is_bounded(monkeypatch: pytest.MonkeyPatch, failure: Exception | None):
    """A `stop` that never comes back, or fails, keeps nobody waiting."""
    monkeypatch.setattr(kafka_look, "_STOP_SECONDS", 0.01)
    consumer = Consumer(failure)
    await kafka_look._stop(consumer)
    await asyncio.sleep(0)
    assert consumer.stopped


async def test_absent_broker_is_told(unused_tcp_port: int):
    """Nobody listening is a message for a person."""
    settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{unused_tcp_port}")
    with pytest.raises(BrokerUnavailableError):
        async with kafka_look.open_look(settings, "t", 1):
            pass


async def test_question_without_an_answer_is_unavailable():
    """A broker that answers no question for offsets is waited for within bounds."""

    async def never() -> None:
        raise TimeoutError

    with pytest.raises(BrokerUnavailableError, match="TimeoutError"):
        await kafka_look._ask(never())


class Damaged(kafka_look.KafkaLook):
    """A partition whose next batch cannot be read."""

    def __init__(self) -> None:
        self.topic = "t"

    def seek(self, partition: int, offset: int) -> None: ...
    def pause(self, partitions: object) -> None: ...
    def resume(self, partitions: object) -> None: ...

    async def fetch(self, *_: object) -> dict[int, list[object]]:
        raise PositionLostError("t", 0, "damaged")


async def test_damaged_batch_ends_the_search():
    """What lies before it was found; that it was not the end is said."""
    look = Damaged()
    assert await look.search(0, Bounds(0, 5), bool, 1) == ([], False)
    assert await look.record(0, 3) is None
