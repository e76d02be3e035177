"""A line is sent as it is; without an id it gets one that it always gets."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest_service.events.decode import decode
from ingest_service.events.record import Limits, Row, StoredRecord
from ingest_service.events.rejection import Reason, Rejection
from ingest_service.publisher.lines import seal_line
from ingest_service.publisher.sealing import Sealed

NOW = 1_780_000_000
ID = "0190f5fe-0000-7000-8000-000000000001"


def line(**fields: Any) -> bytes:
    ordinary = {
        "event_type": "tool_invoke",
        "decision": "deny",
        "reason": "none",
        "timestamp": NOW,
        "gateway_request_id": "req-1",
    }
    return json.dumps(ordinary | fields).encode()


def sealed(given: bytes) -> Sealed:
    result = seal_line(given, NOW * 1000, Limits())
    assert isinstance(result, Sealed)
    return result


def test_a_line_with_an_id_is_sent_byte_for_byte() -> None:
    """Spaces, order of keys and unknown fields leave as they came."""
    given_line = b'  { "unknown" : 1.10, ' + line(id=ID)[1:] + b"  \r"
    result = sealed(given_line)
    assert result.value == given_line
    assert (result.audit_id, result.key) == (ID, b"req-1")


@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=3), st.booleans())
def test_a_line_without_an_id_always_gets_the_same(metadata: dict[str, int], null: bool) -> None:
    """Published again after a failure it is a duplicate; all else in it stays as it was."""
    given_line = line(metadata=metadata, **({"id": None} if null else {}))
    first, second = sealed(given_line), sealed(given_line)
    assert first == second
    assert first.value.startswith(given_line[:-1])
    row = decode(StoredRecord("t", 0, 0, NOW * 1000, None, first.value))
    assert isinstance(row, Row)
    assert row.id == first.audit_id


def test_lines_that_differ_get_different_ids() -> None:
    """One digit more is another event."""
    assert sealed(line(reason="a")).audit_id != sealed(line(reason="b")).audit_id


def test_made_ids_sort_by_the_events_time() -> None:
    """Ids of one file lie side by side in the index, in the order of its events."""
    early, late = sealed(line(timestamp=NOW - 60)), sealed(line(timestamp=NOW))
    assert early.audit_id < late.audit_id


def test_a_line_that_would_be_quarantined_is_refused_with_the_reason() -> None:
    """The decoder judges here as it will there, and names no content."""
    result = seal_line(line(decision="secret-word"), NOW * 1000, Limits())
    assert isinstance(result, Rejection)
    assert result.reason is Reason.BAD_DECISION
    assert "secret-word" not in result.message


def test_a_line_that_grows_too_large_by_its_id_is_refused() -> None:
    """One mebibyte exactly has no room for an id: better refused here than quarantined there."""
    full = line(metadata={"x": ""})
    full = line(metadata={"x": "y" * (1_048_576 - len(full))})
    assert len(full) == 1_048_576
    result = seal_line(full, NOW * 1000, Limits())
    assert isinstance(result, Rejection)
    assert result.reason is Reason.TOO_LARGE
