"""A stream as an honest worker leaves it, without a database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from ingest_service import ledger
from ingest_service.events.decode import CONTRACT
from ingest_service.events.record import Limits, StoredRecord
from ingest_service.ledger import Entry, Rules, Stream, Verdict
from ingest_service.originals import Original, pack_originals

if TYPE_CHECKING:
    from collections.abc import Sequence

STREAM = Stream(1, "events", 0, 1)
RULES = Rules.of(CONTRACT, Limits())
KAFKA_MS = 1_748_908_800_000
GOOD = json.dumps(
    {
        "id": "01972f00-0000-7000-8000-000000000001",
        "event_type": "tool_invoke",
        "decision": "allow",
        "reason": "policy",
        "timestamp": KAFKA_MS // 1000,
        "gateway_request_id": "r",
    }
).encode()


class Link(NamedTuple):
    """An entry and its originals, none for a start or a gap."""

    entry: Entry
    originals: list[Original]

    @property
    def packed(self) -> bytes:
        return pack_originals(
            [each.frame for each in self.originals], [each.verdict for each in self.originals]
        )


def original(offset: int, verdict: Verdict = None, value: bytes | None = GOOD) -> Original:
    record = StoredRecord(
        STREAM.topic, STREAM.partition, offset, KAFKA_MS, b"k", value, [("h", b"1")]
    )
    return Original(ledger.frame(record), record, verdict)


def records_link(previous: Entry, originals: Sequence[Original]) -> Link:
    head = previous.head
    digest = ledger.extend_digest(head.digest, [each.frame for each in originals])
    verdicts = [each.verdict for each in originals]
    return Link(ledger.records_entry(STREAM.id, head, digest, verdicts, RULES), list(originals))


def chain() -> list[Link]:
    """Return a start at 5, records 5-7, 8 and 9, a gap of 10-19, records 20 and 21."""
    links = [Link(ledger.start_entry(STREAM, 5, RULES), [])]
    links.append(records_link(links[-1].entry, [original(5), original(6), original(7, (1, 5))]))
    links.append(records_link(links[-1].entry, [original(8, "not_json", b"{"), original(9)]))
    links.append(Link(ledger.gap_entry(STREAM.id, links[-1].entry.head, 20, RULES), []))
    links.append(records_link(links[-1].entry, [original(20), original(21)]))
    return links
