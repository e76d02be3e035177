"""Each verdict becomes the demand that it is: a row, another's row, a quarantined record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from honest import GOOD, KAFKA_MS, RULES, STREAM, original, records_link

from ingest_service import ledger
from ingest_service.compliance.findings import Class
from ingest_service.compliance.judgement import Batch

if TYPE_CHECKING:
    from ingest_service.ledger import Verdict

START = ledger.start_entry(STREAM, 0, RULES)


def judged(verdict: Verdict, value: bytes | None = GOOD, **changes: object) -> Batch:
    """Return a batch of one record with this verdict."""
    entry, originals = records_link(START, [original(0, verdict, value)])
    batch = Batch(STREAM, 0)
    batch.take(entry._replace(**changes), originals)
    return batch


def test_row_demands_its_row():
    """The decoded row must stand at the record's own place."""
    [claim] = judged(None).claims
    assert (claim.stream_id, claim.offset, claim.row.reason) == (STREAM.id, 0, "policy")


def test_duplicate_demands_the_row_where_the_verdict_says():
    """The decoded row must stand at the other place."""
    batch = judged((7, 41))
    assert [(claim.stream_id, claim.offset) for claim in batch.claims] == [(7, 41)]
    assert batch.said_at == [0]


def test_rejection_demands_quarantine_of_the_very_bytes():
    """Key, value, headers, time and reason, as they came."""
    [claim] = judged("not_json", b"{").quarantined
    assert claim == (0, KAFKA_MS, b"k", ledger.encode_headers([("h", b"1")]), b"{", "not_json")


def test_reused_id_demands_quarantine_and_another_row():
    """The record decodes to a row, whose key another row must have."""
    batch = judged("id_reused")
    assert ([claim.offset for claim in batch.reused], len(batch.quarantined)) == ([0], 1)
    assert (batch.claims, batch.findings) == ([], [])


def test_refused_by_the_database_demands_quarantine_alone():
    """What the database refused is a row to the decoder, and no row is there."""
    batch = judged("refused_by_database")
    assert (len(batch.quarantined), batch.claims, batch.reused, batch.findings) == (1, [], [], [])


@pytest.mark.parametrize(
    ("verdict", "value", "detail"),
    [
        (None, b"{", "the verdict is row, the record decodes to not_json"),
        ((1, 0), b"{", "the verdict is duplicate, the record decodes to not_json"),
        ("not_json", GOOD, "the verdict is not_json, the record decodes to row"),
        ("not_json", None, "the verdict is not_json, the record decodes to empty"),
        ("id_reused", b"{", "the verdict is id_reused, the record decodes to not_json"),
        (
            "refused_by_database",
            b"",
            "the verdict is refused_by_database, the record decodes to empty",
        ),
        ("my secret", b"{", "the verdict is an unknown code, the record decodes to not_json"),
        ((0, 0), GOOD, "the verdict is duplicate, the record decodes to row"),
        ((1, 2**63), GOOD, "the verdict is duplicate, the record decodes to row"),
    ],
)
def test_verdict_that_the_decoder_denies_is_named(
    verdict: Verdict, value: bytes | None, detail: str
):
    """A verdict must be what the record is; only codes of ours are repeated."""
    [finding] = judged(verdict, value).findings
    assert (finding.kind, finding.offset, finding.detail) == (Class.WRONG_VERDICT, 0, detail)
    assert finding.sequence == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"contract": 99},
        {"limits": '{"max_age_seconds":1,"later":2}'},
        {"limits": '{"max_age_seconds":"1"}'},
        {"limits": "[]"},
    ],
)
def test_rules_that_are_unknown_are_said_once_and_rows_only_counted(changes: dict[str, object]):
    """What a later version decided is not called wrong by this one."""
    batch = judged(None, **changes)
    assert [finding.kind for finding in batch.findings] == [Class.UNDECODABLE]
    assert (batch.claims, batch.assumed) == ([], [0])


def test_limits_of_the_entry_decide_not_ours():
    """An event of yesterday was too old for a worker that was told an hour."""
    old = GOOD.replace(b"1748908800", b"1748822400")
    assert judged("timestamp_too_old", old, limits='{"max_age_seconds":3600}').findings == []
    assert judged(None, old).findings == []


def test_sequence_is_told_by_offset():
    """A batch of several entries knows which of them an offset came with."""
    first = records_link(START, [original(0), original(1)])
    second = records_link(first.entry, [original(2)])
    batch = Batch(STREAM, 0)
    batch.take(*first)
    batch.take(*second)
    assert [batch.sequence_at(offset) for offset in (0, 1, 2)] == [1, 1, 2]
    assert (batch.is_full(3, 10**9), batch.is_full(4, 10**9), batch.is_full(4, 1)) == (
        True,
        False,
        True,
    )
