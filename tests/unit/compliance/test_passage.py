"""One stream's passage: what can be compared is handed on, what cannot is accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from honest import STREAM, Link, chain, original

from ingest_service import ledger
from ingest_service.compliance.chain import Anchored
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


def passed_from(number: int, links: list[Link], anchors: Sequence[Anchored] = ()) -> Findings:
    """Walk from one link on, as a piece of the stream that begins there."""
    findings = Findings()
    passage = Passage(STREAM, findings, anchors)
    before = links[max(0, number - 2) : number]
    kept = Kept(before[-1].entry, before[-1].packed, 0) if before else None
    passage.prime([link.entry for link in before], kept)
    for link in links[number:]:
        passage.take(Kept(link.entry, link.packed if link.entry.kind == "records" else None, 0))
    passage.leave()
    return findings


@pytest.mark.parametrize("number", range(5))
def test_a_piece_begins_anywhere(number: int):
    """Behind any entry an honest chain goes on, and nothing is found."""
    assert passed_from(number, chain()).counts() == ({} if number == 4 else {Class.ACCEPTED_GAP: 1})


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_changed_digest_before_a_piece_accuses_nothing_in_it(number: int):
    """What follows fits the digest that the originals before it give."""
    links = chain()
    entry = links[number - 1].entry._replace(digest=b"x" * 32)
    links[number - 1] = Link(entry, links[number - 1].originals)
    assert passed_from(number, links).counts() == {Class.ACCEPTED_GAP: 1}


def signed(offset: int, links: list[Link]) -> Anchored:
    """Return what an honest witness signs at an offset: computed from the records alone."""
    digest = links[0].entry.digest
    for link in links[1:]:
        for each in link.originals:
            if each.record.offset < offset:
                digest = ledger.extend_digest(digest, [each.frame])
        if link.entry.kind == "gap" and link.entry.next_offset <= offset:
            digest = link.entry.digest
    return Anchored(offset, digest)


@pytest.mark.parametrize("offset", [5, 6, 7, 8, 9, 10, 20, 21, 22])
def test_an_anchor_holds_wherever_entries_are_cut(offset: int):
    """A failover cuts entries anew: an anchor may stand between any two records."""
    links = chain()
    assert passed_from(0, links, [signed(offset, links)]).counts() == {Class.ACCEPTED_GAP: 1}


@pytest.mark.parametrize(
    ("offset", "kind"),
    [
        *((offset, Class.ANCHOR_DIFFERS) for offset in (5, 6, 8, 15, 20, 22)),
        (23, Class.ANCHOR_BEYOND),
    ],
)
def test_another_digest_than_was_signed_is_found(offset: int, kind: Class):
    """At, between and behind the entries, and inside a gap, where no durable offset ever was."""
    counts = passed_from(0, chain(), [Anchored(offset, b"x" * 32)]).counts()
    assert counts == {Class.ACCEPTED_GAP: 1, kind: 1}


def test_an_anchor_without_readable_originals_is_not_confirmed():
    """Inside an entry whose originals are gone there is nothing to compare it with."""
    links = chain()
    honest = signed(6, links)
    findings = Findings()
    passage = Passage(STREAM, findings, [honest])
    passage.take(Kept(links[0].entry, None, 0))
    passage.take(Kept(links[1].entry, None, 0))
    assert findings.counts() == {Class.ORIGINALS_MISSING: 1, Class.ANCHOR_DIFFERS: 1}
    assert passage.report.anchored is None


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
