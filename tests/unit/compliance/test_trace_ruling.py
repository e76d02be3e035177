"""What the decoder says of one kept record, against what its entry says."""

from __future__ import annotations

import pytest

from given_events import event, record
from ingest_service.compliance.trace_ruling import ruling
from ingest_service.events.record import Row
from ingest_service.ledger import Entry
from ingest_service.originals import Original

ENTRY = Entry(1, 1, "records", 0, 1, 1, 0, 0, 1, '{"max_age_seconds":2592000}', b"", b"", b"")


@pytest.mark.parametrize("verdict", [None, (1, 3), "id_reused", "refused_by_database"])
def test_a_row_may_be_kept_for_more_than_one_reason(verdict: object):
    """A duplicate, and what was found out while writing, decode to a row all the same."""
    assert isinstance(ruling(ENTRY, Original(b"", event(), verdict)), Row)


def test_a_rejection_is_the_decoders_own():
    """Then there is no row, and nothing is wrong."""
    assert ruling(ENTRY, Original(b"", record(b"{"), "not_json")) is None


@pytest.mark.parametrize(
    ("original", "wrong"),
    [
        (
            Original(b"", event(), "not_json"),
            "the verdict is not_json, and the record decodes to a row",
        ),
        (Original(b"", record(b"{"), None), "the verdict is a row, and the decoder says not_json"),
        (
            Original(b"", record(b"{"), (1, 3)),
            "the verdict is a row, and the decoder says not_json",
        ),
        (
            Original(b"", record(b"{"), "empty"),
            "the verdict is empty, and the decoder says not_json",
        ),
    ],
)
def test_a_forged_verdict_is_told(original: Original, wrong: str):
    """A verdict that the decoder cannot have given is named, whatever the hashes say."""
    assert ruling(ENTRY, original) == wrong


@pytest.mark.parametrize(
    "entry",
    [ENTRY._replace(contract=99), ENTRY._replace(limits='{"x":1}'), ENTRY._replace(limits="[]")],
)
def test_unknown_rules_judge_nothing(entry: Entry):
    """An entry of a newer release, or forged limits, are said, and no error."""
    assert str(ruling(entry, Original(b"", event(), None))).startswith("this version cannot")
