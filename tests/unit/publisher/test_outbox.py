"""What the outbox took is settled once, whatever the broker does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ingest_service.publisher.outbox import Outbox
from ingest_service.publisher.outcome import BufferFull, NotRecorded
from ingest_service.publisher.session import Entry
from publishing import until
from publishing.producers import FakeBroker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from publishing.producers import FakeProducer


class Ending:
    """Collects how entries ended, by audit id."""

    def __init__(self) -> None:
        self.by_id: dict[str, NotRecorded | None] = {}
        self._changed = asyncio.Event()

    def entry(self, audit_id: str, value: bytes | None = None, key: bytes = b"\x00") -> Entry:
        def settled(failure: NotRecorded | None) -> None:
            assert audit_id not in self.by_id, "settled twice"
            self.by_id[audit_id] = failure
            self._changed.set()

        return Entry(audit_id, key, audit_id.encode() if value is None else value, settled)

    async def of(self, *audit_ids: str) -> list[NotRecorded | None]:
        async with asyncio.timeout(10):
            while not set(audit_ids) <= set(self.by_id):
                self._changed.clear()
                await self._changed.wait()
        return [self.by_id[audit_id] for audit_id in audit_ids]


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def ending() -> Ending:
    return Ending()


@pytest.fixture
async def outbox(broker: FakeBroker) -> AsyncIterator[Outbox]:
    """Yield an outbox that each test starts when its broker is as it should be."""
    outbox = Outbox(broker.open, max_events=4, max_bytes=1000)
    yield outbox
    await outbox.finish(0)


async def connect(outbox: Outbox) -> None:
    outbox.start()
    async with asyncio.timeout(10):
        await outbox.connected.wait()


def put(outbox: Outbox, ending: Ending, audit_ids: str) -> None:
    """Put one entry for each letter."""
    for audit_id in audit_ids:
        outbox.put(ending.entry(audit_id))


async def turns(number: int = 20) -> None:
    """Let every task that can run come to its next wait."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_what_was_put_before_the_connection_is_sent(
    outbox: Outbox, broker: FakeBroker, ending: Ending
) -> None:
    """Entries need no connection to be taken; they leave in their order when there is one."""
    outbox.start()
    put(outbox, ending, "abc")
    assert await ending.of("a", "b", "c") == [None, None, None]
    assert broker.values == [b"a", b"b", b"c"]


async def test_a_broker_that_is_away_is_tried_again(
    broker: FakeBroker, outbox: Outbox, ending: Ending
) -> None:
    """An entry waits out the broker's absence, and nobody has to ask."""
    broker.away = True
    outbox.start()
    outbox.put(ending.entry("a"))
    await until(lambda: outbox.trouble == "the broker is away")
    broker.away = False
    assert await ending.of("a") == [None]


async def test_a_full_buffer_refuses_and_drops_nothing(
    outbox: Outbox, broker: FakeBroker, ending: Ending
) -> None:
    """The fifth of four is refused at once; the four that were taken are recorded."""
    broker.holds = True
    outbox.start()
    put(outbox, ending, "abcd")
    with pytest.raises(BufferFull) as refusal:
        outbox.put(ending.entry("e"))
    assert refusal.value.maybe_recorded is False
    await turns()
    broker.acknowledge()
    assert await ending.of("a", "b", "c", "d") == [None] * 4
    assert "e" not in ending.by_id


async def test_the_buffer_is_bounded_in_bytes(
    outbox: Outbox, broker: FakeBroker, ending: Ending
) -> None:
    """Key and value count; an entry that would pass the bound is refused, a smaller one fits."""
    broker.holds = True
    outbox.start()
    outbox.put(ending.entry("a", b"x" * 900))
    with pytest.raises(BufferFull):
        outbox.put(ending.entry("b", b"x" * 99, key=b"12"))
    outbox.put(ending.entry("c", b"x" * 97, key=b"12"))


async def test_settled_entries_make_room(outbox: Outbox, ending: Ending) -> None:
    """The bounds hold what waits now, not what was ever taken."""
    outbox.start()
    for number in range(20):
        outbox.put(ending.entry(f"{number}", b"x" * 200))
        await outbox.room()
    await ending.of(*map(str, range(20)))
    assert len(outbox) == 0


async def test_one_blocked_partition_holds_up_no_other(
    outbox: Outbox, broker: FakeBroker, ending: Ending
) -> None:
    """A partition without a leader keeps its own entries waiting, and only those."""
    broker.blocked = {0}
    outbox.start()
    outbox.put(ending.entry("stuck", key=b"\x00"))
    outbox.put(ending.entry("free", key=b"\x01"))
    assert await ending.of("free") == [None]
    assert "stuck" not in ending.by_id
    broker.unblock()
    assert await ending.of("stuck") == [None]


async def test_a_spent_producer_is_replaced_and_its_rest_sent_again(
    outbox: Outbox, broker: FakeBroker, ending: Ending
) -> None:
    """What a broken producer had not acknowledged goes out again with the next, unchanged."""
    broker.holds = True
    await connect(outbox)
    put(outbox, ending, "abc")
    await turns()
    broker.holds = False
    broker.producers[0].break_down()
    assert await ending.of("a", "b", "c") == [None] * 3
    assert sorted(broker.values) == [b"a", b"b", b"c"]
    assert len(broker.producers) == 2


async def test_an_entry_that_was_being_handed_over_is_not_lost(
    outbox: Outbox, broker: FakeBroker, ending: Ending
) -> None:
    """A full partition's next entry goes back in line when the producer breaks meanwhile."""
    broker.blocked = {0}
    broker.max_record_bytes = 10
    outbox.start()
    outbox.put(ending.entry("first", key=b"\x00"))
    outbox.put(ending.entry("second", key=b"\x00"))
    outbox.put(ending.entry("large", b"x" * 11, key=b"\x01"))
    await ending.of("large")
    await until(lambda: len(broker.producers) == 2)
    broker.unblock()
    assert await ending.of("first", "second") == [None, None]
    assert broker.values == [b"first", b"second"]


async def test_what_a_spent_producer_never_answered_is_sent_again(
    outbox: Outbox, broker: FakeBroker, ending: Ending
) -> None:
    """No answer by the time it is closed: the next producer sends it, under the same id."""
    broker.holds = True
    await connect(outbox)
    outbox.put(ending.entry("silent", key=b"\x00"))
    await turns()
    outbox.put(ending.entry("broken", key=b"\x01"))
    await turns()
    broker.producers[0].break_down(silent={b"silent"})
    await until(lambda: len(broker.producers) == 2)
    await turns()
    broker.acknowledge()
    assert await ending.of("silent", "broken") == [None, None]


async def test_a_refused_record_is_told_and_its_neighbours_arrive(
    outbox: Outbox, broker: FakeBroker, ending: Ending
) -> None:
    """One record that the broker will never take spoils neither those around it nor those after."""
    broker.max_record_bytes = 10
    outbox.start()
    outbox.put(ending.entry("before"))
    outbox.put(ending.entry("large", b"x" * 11))
    outbox.put(ending.entry("after"))
    before, large, after = await ending.of("before", "large", "after")
    assert before is None
    assert after is None
    assert large is not None
    assert large.maybe_recorded is False
    assert "too large for the topic" in str(large)


async def test_giving_up_takes_back_what_was_not_handed_over(
    outbox: Outbox, broker: FakeBroker, ending: Ending
) -> None:
    """Told that it is not recorded, a caller can rely on it: the entry never leaves."""
    broker.away = True
    outbox.start()
    entry = ending.entry("a")
    outbox.put(entry)
    outbox.give_up(entry)
    [failure] = await ending.of("a")
    assert failure is not None
    assert failure.maybe_recorded is False
    broker.away = False
    outbox.put(ending.entry("b"))
    assert await ending.of("b") == [None]
    assert broker.values == [b"b"]


async def test_giving_up_on_the_way_waits_for_the_truth(
    outbox: Outbox, broker: FakeBroker, ending: Ending
) -> None:
    """An entry that was handed over is not settled by its caller's impatience."""
    broker.holds = True
    await connect(outbox)
    entry = ending.entry("a")
    outbox.put(entry)
    await turns()
    outbox.give_up(entry)
    assert ending.by_id == {}
    assert len(outbox) == 1
    broker.acknowledge()
    assert await ending.of("a") == [None]


async def test_what_was_given_up_is_not_tried_again(
    outbox: Outbox, broker: FakeBroker, ending: Ending
) -> None:
    """When it fails after all, nobody waits for it any more: it is not sent a second time."""
    broker.holds = True
    await connect(outbox)
    entry = ending.entry("a")
    outbox.put(entry)
    await turns()
    outbox.give_up(entry)
    broker.holds = False
    broker.producers[0].break_down()
    [failure] = await ending.of("a")
    assert failure is not None
    assert failure.maybe_recorded is True
    assert broker.values == []


async def test_finishing_flushes(outbox: Outbox, broker: FakeBroker, ending: Ending) -> None:
    """A close that has time loses nothing."""
    outbox.start()
    put(outbox, ending, "abc")
    assert await outbox.finish(10) == 0
    assert broker.values == [b"a", b"b", b"c"]


async def test_finishing_without_a_broker_tells_what_is_lost(
    outbox: Outbox, broker: FakeBroker, ending: Ending
) -> None:
    """What cannot arrive in time is settled as not recorded, each entry by itself."""
    broker.away = True
    outbox.start()
    outbox.put(ending.entry("a"))
    outbox.put(ending.entry("b"))
    assert await outbox.finish(0.01) == 2
    assert [failure and failure.maybe_recorded for failure in ending.by_id.values()] == [False] * 2


async def test_finishing_tells_apart_what_may_have_arrived(
    outbox: Outbox, broker: FakeBroker, ending: Ending
) -> None:
    """An entry on the wire at the end may be recorded, and its report says so."""
    broker.holds = True
    await connect(outbox)
    outbox.put(ending.entry("a"))
    await turns()
    assert await outbox.finish(0.01) == 1
    [failure] = await ending.of("a")
    assert failure is not None
    assert failure.maybe_recorded is True


async def test_after_the_end_nothing_is_taken(outbox: Outbox, ending: Ending) -> None:
    """A closed outbox refuses, so that nothing waits for ever."""
    outbox.start()
    await outbox.finish(0)
    with pytest.raises(NotRecorded, match="closed"):
        outbox.put(ending.entry("a"))


async def test_a_bug_in_sending_settles_everything(
    ending: Ending, caplog: pytest.LogCaptureFixture
) -> None:
    """When the sending task dies, those who wait are told, and so are those who come later."""

    async def open_badly() -> FakeProducer:
        raise ZeroDivisionError

    outbox = Outbox(open_badly, max_events=4, max_bytes=1000)
    outbox.put(ending.entry("a"))
    outbox.start()
    [failure] = await ending.of("a")
    assert failure is not None
    with pytest.raises(NotRecorded, match="restart"):
        outbox.put(ending.entry("b"))
    assert "publishing audit events failed" in caplog.text
    assert await outbox.finish(1) == 0
