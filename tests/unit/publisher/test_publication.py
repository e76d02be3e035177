"""Of many lines, each has one fate, and the account adds up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ingest_service.events.record import Limits
from ingest_service.publisher.outbox import Outbox
from ingest_service.publisher.publication import Account, Publication
from publishing.producers import FakeBroker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def line(reason: str = "none", **fields: object) -> bytes:
    ordinary = {
        "event_type": "discovery",
        "decision": "deny",
        "reason": reason,
        "timestamp": 1,
        "gateway_request_id": "r",
    }
    return json.dumps(ordinary | fields).encode()


async def lines(*given: bytes) -> AsyncIterator[bytes]:
    for one in given:
        yield one


class Run:
    """One publication on a fake broker, and what it complained of."""

    def __init__(self) -> None:
        self.broker = FakeBroker()
        self.outbox = Outbox(self.broker.open, max_events=10, max_bytes=100_000)
        self.account = Account()
        self.complaints: dict[int, str] = {}
        limits = Limits(max_age_seconds=10**10)
        complain = self.complaints.__setitem__
        self.publication = Publication(self.outbox, self.account, limits, complain)

    async def feed(self, *given: bytes, flush_seconds: float = 10) -> Account:
        self.outbox.start()
        await self.publication.feed(lines(*given))
        await self.outbox.finish(flush_seconds)
        return self.account


async def test_good_lines_are_recorded_bad_ones_named_by_number() -> None:
    """Blank lines count as lines and not as events; a bad one does not stop the next."""
    run = Run()
    account = await run.feed(line("a"), b"", b"not json", line("b"), line(decision="no"), line("c"))
    assert [json.loads(value)["reason"] for value in run.broker.values] == ["a", "b", "c"]
    assert (account.read, account.recorded, account.refused) == (5, 3, 2)
    assert list(run.complaints) == [3, 5]
    assert run.complaints[3].startswith("not_json")
    assert account.settled_up_to == 6
    assert not account.all_recorded


async def test_many_lines_pass_through_a_small_buffer() -> None:
    """The source waits for the broker: nothing is refused for want of room."""
    run = Run()
    account = await run.feed(*(line(str(number)) for number in range(200)))
    assert (account.recorded, account.settled_up_to) == (200, 200)
    assert account.all_recorded


async def test_what_did_not_arrive_is_where_to_go_on() -> None:
    """Up to the line before the first one that is not recorded, nothing needs to be sent again."""
    run = Run()
    run.broker.max_record_bytes = 1000
    account = await run.feed(line("a"), line("x" * 2000), line("c"))
    assert (account.recorded, account.not_recorded, account.settled) == (2, 1, 3)
    assert account.settled_up_to == 1
    assert "too large for the topic" in run.complaints[2]


async def test_without_a_broker_every_line_is_accounted_for() -> None:
    """Given up on, each line is told as not recorded."""
    run = Run()
    run.broker.away = True
    account = await run.feed(line("a"), line("b"), flush_seconds=0.01)
    assert (account.not_recorded, account.settled_up_to) == (2, 0)
    assert list(run.complaints) == [1, 2]
