"""One stream's passage: what can be compared is handed on, what cannot is accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from honest import STREAM, Link, chain, original

from ingest_service.compliance.findings import Class, Findings
from ingest_service.compliance.passage import Passage
from ingest_service.compliance.walk import Kept, Stray, walk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence


def passed(links: Iterable[Link], missing: Sequence[int] = ()) -> tuple[Passage, Findings]:
    """Walk the links, some entries' originals being gone."""
    findings = Findings()
    passage = Passage(STREAM, findings)
    for entry, originals in links:
        is_kept = entry.kind == "records" and entry.sequence not in missing
        packed = Link(entry, originals).packed if is_kept else None
        passage.take(Kept(entry, packed, 0))
    return passage, findings


def test_report_counts_what_the_ledger_says():
    """Entries, records, verdicts and gaps add up."""
    passage, findings = passed(chain())
    report = passage.report
    assert (report.first_offset, report.next_offset, report.entries) == (5, 22, 5)
    assert (report.records, report.rows, report.duplicates, report.quarantined) == (7, 5, 1, 1)
    assert (report.gap_offsets, report.digest) == (10, chain()[-1].entry.digest)
    assert findings.counts() == {Class.ACCEPTED_GAP: 1}


def test_covered_offsets_leave_the_gap_out():
    """Entries that follow each other are one range; a gap is covered by nothing."""
    passage, _ = passed(chain())
    assert passage.covered == [(1, 5, 10), (1, 20, 22)]
    assert passage.blind == []


def test_missing_originals_are_one_blind_range_with_its_counts():
    """Neighbours without originals are one question to the database, not two."""
    passage, findings = passed(chain(), missing=[1, 2])
    assert [(each.range, each.rows, each.quarantined) for each in passage.blind] == [
        ((1, 5, 10), 3, 1)
    ]
    assert findings.counts()[Class.ORIGINALS_MISSING] == 2


def test_cut_originals_leave_only_their_tail_in_the_dark():
    """What is left of an entry's originals is compared, the rest counted."""
    links = chain()
    links[1] = Link(links[1].entry, links[1].originals[:1])
    passage, _ = passed(links)
    assert [(each.range, each.rows) for each in passage.blind] == [((1, 6, 8), 1)]
    assert passage.covered[0] == (1, 5, 6)


def test_originals_of_another_entry_are_compared_where_they_belong():
    """Swapped originals accuse the two entries, not every row of them."""
    links = chain()
    links[1], links[2] = (
        Link(links[1].entry, links[2].originals),
        Link(links[2].entry, links[1].originals),
    )
    passage, findings = passed(links)
    assert passage.blind == []
    assert sorted(passage.covered) == [(1, 5, 8), (1, 8, 10), (1, 20, 22)]
    assert findings.counts()[Class.CHANGED_BYTES] == 2


def test_records_that_cannot_be_judged_are_blind():
    """Records with a hole in them say nothing about any offset."""
    links = chain()
    links[4] = Link(links[4].entry, [original(20), original(22)])
    passage, findings = passed(links)
    assert [each.range for each in passage.blind] == [(1, 20, 22)]
    assert findings.counts()[Class.CHANGED_BYTES] == 1


async def each_of(items: Iterable) -> AsyncIterator:
    for item in items:
        yield item


async def walked(sequences: Sequence[int]) -> list[Kept | Stray]:
    """Walk the honest entries beside originals of these sequences."""
    entries = each_of(entry for entry, _ in chain())
    originals = each_of((sequence, b"%d" % sequence) for sequence in sequences)
    return [item async for item in walk(entries, originals)]


async def test_each_entry_meets_its_own_originals():
    """Both come in order of sequence, with holes on either side."""
    items = await walked([1, 4])
    assert [item.packed for item in items if isinstance(item, Kept)] == [
        None, b"1", None, None, b"4"
    ]  # fmt: skip
    assert not any(isinstance(item, Kept) and item.surplus for item in items)


async def test_originals_without_an_entry_are_strays():
    """Before, and after the last."""
    items = await walked([-1, 1, 9, 9])
    assert [item.sequence for item in items if isinstance(item, Stray)] == [-1, 9, 9]


async def test_surplus_originals_are_counted():
    """A second original text is one too many; for a start or a gap the first is."""
    items = await walked([0, 1, 1, 1, 3])
    assert [item.surplus for item in items if isinstance(item, Kept)] == [1, 2, 0, 1, 0]
