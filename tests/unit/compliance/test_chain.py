"""Nothing in a chain can be changed, left out or put elsewhere without a finding."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from honest import RULES, STREAM, Link, chain, original
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ingest_service import ledger
from ingest_service.compliance.chain import advance, judgeable, link
from ingest_service.compliance.findings import Class, Finding
from ingest_service.ledger import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

HONEST = chain()
CHANGES = {
    "kind": st.sampled_from(["start", "records", "gap", "purge"]),
    "first_offset": st.integers(0, 30),
    "next_offset": st.integers(0, 30),
    "row_count": st.integers(0, 9),
    "duplicate_count": st.integers(0, 9),
    "quarantine_count": st.integers(0, 9),
    "contract": st.integers(0, 9),
    "limits": st.sampled_from(["{}", '{"max_age_seconds":1}', '{"max_age_seconds":2592000}']),
    "digest": st.binary(max_size=8).map(lambda seed: sha256(seed).digest()),
    "previous_hash": st.binary(max_size=8).map(lambda seed: sha256(seed).digest()),
    "hash": st.binary(max_size=8).map(lambda seed: sha256(seed).digest()),
}
CHANGE = st.sampled_from(sorted(CHANGES)).flatmap(
    lambda field: st.tuples(st.just(field), CHANGES[field])
)


def findings(links: Sequence[Link]) -> list[Finding]:
    """Walk the links as `verify` does."""
    found: list[Finding] = []
    tail = None
    for entry, originals in links:
        found += link(STREAM, tail, entry)
        tail, wrong = advance(STREAM, tail, entry, originals)
        found += wrong
    return found


def classes(links: Sequence[Link]) -> dict[Class, list[int | None]]:
    """Return the sequences of what is found, by class."""
    found: dict[Class, list[int | None]] = {}
    for finding in findings(links):
        found.setdefault(finding.kind, []).append(finding.sequence)
    return found


def test_honest_chain_has_no_finding():
    """A start, records with every verdict, a gap, and records again hang together."""
    assert findings(HONEST) == []


@example(index=0, change=("kind", "records"))  # an entry of no records: once a crash
@given(index=st.integers(0, len(HONEST) - 1), change=CHANGE)
def test_any_change_of_an_entry_is_found_at_it(index: int, change: tuple[str, object]):
    """Every field of an entry is bound by its hash or by its neighbours."""
    field, value = change
    assume(getattr(HONEST[index].entry, field) != value)
    links = list(HONEST)
    links[index] = Link(links[index].entry._replace(**{field: value}), links[index].originals)
    assert index in {finding.sequence for finding in findings(links)}


@given(index=st.integers(0, len(HONEST) - 2))
def test_any_removed_entry_is_found_at_the_next(index: int):
    """What is left out shows where the chain goes on; only the newest can go unseen."""
    links = HONEST[:index] + HONEST[index + 1 :]
    assert next(finding.sequence for finding in findings(links)) == index + 1


@given(order=st.permutations(range(len(HONEST))))
def test_any_other_order_is_found(order: list[int]):
    """The entries have one order."""
    assume(order != sorted(order))
    assert Class.BROKEN_LINK in classes([HONEST[n] for n in order])


def test_one_changed_original_is_one_finding():
    """The entries after it are not accused: each digest is judged from the stored one before."""
    links = list(HONEST)
    links[1] = Link(links[1].entry, [original(5, value=b"{}"), *links[1].originals[1:]])
    assert classes(links) == {Class.CHANGED_BYTES: [1]}


def test_changed_digest_accuses_no_other_entry():
    """An entry whose digest was changed is named; the next one, which fits the true one, is not."""
    links = list(HONEST)
    links[1] = Link(links[1].entry._replace(digest=sha256(b"x").digest()), links[1].originals)
    assert classes(links) == {Class.CHANGED_BYTES: [1], Class.CHANGED_ENTRY: [1]}


def test_changed_verdict_is_a_changed_entry():
    """Verdicts are outside the digest, which a witness can compute, and under the hash."""
    links = list(HONEST)
    swapped = [original(20, "not_json"), original(21)]
    links[4] = Link(links[4].entry, swapped)
    assert classes(links) == {Class.CHANGED_ENTRY: [4, 4]}, "the hash, and the counts"


def test_originals_of_other_offsets_are_changed_bytes_even_under_a_right_digest():
    """A forged entry cannot cover offsets that its records do not have."""
    head = HONEST[-1].entry.head
    originals = [original(30), original(31)]
    digest = ledger.extend_digest(head.digest, [each.frame for each in originals])
    forged = ledger.records_entry(STREAM.id, head, digest, [None, None], RULES)
    assert classes([*HONEST, Link(forged, originals)]) == {Class.CHANGED_BYTES: [5]}


def test_entry_without_its_originals_does_not_stop_the_walk():
    """Where the bytes are not there, the link before and after is still judged."""
    links: list = list(HONEST)
    links[2] = (links[2].entry, None)
    assert findings(links) == []
    links[3] = Link(links[3].entry._replace(previous_hash=b"x" * 32), [])
    assert set(classes(links)) == {Class.BROKEN_LINK, Class.CHANGED_ENTRY}


def test_kind_of_a_later_version_is_judged_by_link_and_hash():
    """A purge says nothing about the digest that this version knows; its hash still holds."""
    last = HONEST[-1].entry
    purge = ledger.seal(
        Entry(
            stream_id=STREAM.id,
            sequence=last.sequence + 1,
            kind="purge",
            first_offset=last.next_offset,
            next_offset=last.next_offset,
            row_count=3,
            duplicate_count=0,
            quarantine_count=0,
            contract=1,
            limits="{}",
            digest=sha256(b"later").digest(),
            previous_hash=last.hash,
            hash=b"",
        )
    )
    assert findings([*HONEST, Link(purge, [])]) == []
    assert classes([*HONEST, Link(purge._replace(row_count=4), [])]) == {Class.CHANGED_ENTRY: [5]}


def test_records_with_a_hole_or_impossible_numbers_cannot_be_judged():
    """Only one record an offset, with numbers that the database has too, can be compared."""
    assert judgeable([original(7), original(8)])
    assert not judgeable([original(7), original(9)])
    assert not judgeable([original(2**63)])
    late = original(7)
    assert not judgeable([late._replace(record=late.record._replace(timestamp=2**63))])
