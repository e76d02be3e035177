"""What a publisher puts in is found again, and what the service says cannot be forged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from given_events import event, record, spelled
from ingest_service.events.decode import decode
from ingest_service.events.record import Row, StoredRecord


def metadata_of(given: StoredRecord) -> bytes:
    verdict = decode(given)
    assert isinstance(verdict, Row), verdict
    return verdict.metadata


def test_metadata_is_kept_byte_for_byte() -> None:
    """White space, order, digits and escapes stay as they were sent."""
    text = b'{ "b" : 1.10 ,\n"a":[ 1e5, "\\u00e9" ] , "big": 18446744073709551616 }'
    assert metadata_of(spelled("metadata", text)) == text


@pytest.mark.parametrize("given", [event(metadata=None), spelled("metadata", "{}")])
def test_no_metadata_is_an_empty_object(given: StoredRecord) -> None:
    """The column is never null."""
    assert metadata_of(given) == b"{}"


@pytest.mark.parametrize(
    ("metadata", "joined"),
    [
        ("{}", b'{"_extra":{"shard":1.10}}'),
        ("{ }", b'{ "_extra":{"shard":1.10}}'),
        ("null", b'{"_extra":{"shard":1.10}}'),
        ('{ "a": 1.0 }', b'{ "a": 1.0 ,"_extra":{"shard":1.10}}'),
    ],
)
def test_unknown_field_is_kept_as_written(metadata: str, joined: bytes) -> None:
    """A field of a newer publisher joins the metadata, which keeps its bytes."""
    text = spelled("metadata", metadata).value
    assert text is not None
    assert metadata_of(record(text[:-1] + b', "shard": 1.10}')) == joined


def test_unknown_fields_keep_their_order() -> None:
    """The bytes do not depend on a hash seed."""
    names = [f"f{n}" for n in range(50)]
    extra = json.loads(metadata_of(event(**dict.fromkeys(names, 1))))["_extra"]
    assert list(extra) == names


@pytest.mark.parametrize(
    ("changes", "stored"),
    [
        (
            {"metadata": {"a": 1, "_ingest": {"nul_replaced": 0}}},
            {"a": 1, "_extra": {"_ingest": {"nul_replaced": 0}}},
        ),
        ({"metadata": {"_extra": {"x": 1}}}, {"_extra": {"_extra": {"x": 1}}}),
        (
            {"metadata": {"_extra": 1, "_ingest": 2}, "_ingest": 3},
            {"_extra": {"_ingest": 3, "_extra": 1, "metadata._ingest": 2}},
        ),
        (
            {"metadata": {"_extra": 1}, "_extra": 2, "metadata._extra": 3},
            {"_extra": {"_extra": 2, "metadata._extra": 3, "metadata.metadata._extra": 1}},
        ),
        (
            {"metadata": {"_ingest": "none"}, "reason": "\0"},
            {"_extra": {"_ingest": "none"}, "_ingest": {"nul_replaced": 1}},
        ),
    ],
)
def test_our_names_can_not_be_forged(changes: dict[str, Any], stored: dict[str, Any]) -> None:
    """What a publisher writes under our names is kept beside, under a name that is free."""
    assert json.loads(metadata_of(event(**changes))) == stored


def test_escaped_spelling_of_our_names_is_recognised() -> None:
    r"""`_\u0069ngest` is `_ingest` to PostgreSQL, and so it is to the decoder."""
    stored = metadata_of(spelled("metadata", r'{"_\u0069ngest": {"nul_replaced": 7}}'))
    assert json.loads(stored) == {"_extra": {"_ingest": {"nul_replaced": 7}}}


def test_our_names_deeper_down_are_the_publishers() -> None:
    """Only the top of the metadata is ours."""
    text = b'{"a": {"_ingest": 1, "_extra": 2}}'
    assert metadata_of(spelled("metadata", text)) == text
