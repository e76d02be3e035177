"""JSON that hurts a parser or PostgreSQL: refused, mended or kept, and never by accident."""

from __future__ import annotations

import json
import time

import pytest

from given_events import GOOD, event, record, spelled
from ingest_service.events.decode import decode
from ingest_service.events.record import Row, StoredRecord
from ingest_service.events.rejection import Reason, Rejection


def metadata_of(given: StoredRecord) -> bytes:
    verdict = decode(given)
    assert isinstance(verdict, Row), verdict
    return verdict.metadata


def reason_for(given: StoredRecord) -> Reason:
    verdict = decode(given)
    assert isinstance(verdict, Rejection)
    return verdict.reason


NUMBERS_KEPT = [
    "0",
    "-0",
    "-0.0",
    "1.10",
    "1E5",
    "1e+5",
    "1e308",
    "-1e-308",
    "1e-0308",
    "0e308",
    "18446744073709551616",
    "-9223372036854775809",
    "9" * 40,
    "-" + "9" * 39,
    "0." + "1" * 38,
    "1" * 35 + "e-308",
]
NUMBERS_REFUSED = [
    "1e309",
    "1e-309",
    "1e400",
    "1e-20000",
    "0e99999",
    "1e131071",
    "1e131072",
    "9" * 41,
    "-" + "9" * 40,
    "9" * 5_000,
    "0." + "1" * 39,
    "1" * 36 + "e-308",
    "1E+" + "0" * 38 + "1",
]
IN_METADATA = ['{"n":%s}', '{"n":[%s]}', '{"n":[1, %s ]}', '{"a":{"b":[{"n":%s}]},"c":"d"}']


@pytest.mark.parametrize("literal", NUMBERS_KEPT)
@pytest.mark.parametrize("shape", IN_METADATA)
def test_number_is_kept_as_written(shape: str, literal: str) -> None:
    """A number that PostgreSQL can keep and print stays as its publisher wrote it."""
    text = shape % literal
    assert metadata_of(spelled("metadata", text)) == text.encode()


@pytest.mark.parametrize("literal", NUMBERS_REFUSED)
@pytest.mark.parametrize("shape", IN_METADATA)
def test_monstrous_number_in_metadata_is_refused(shape: str, literal: str) -> None:
    """No number gets into jsonb that jsonb can not print, at no depth."""
    assert reason_for(spelled("metadata", shape % literal)) is Reason.NUMBER_OUT_OF_RANGE


@pytest.mark.parametrize("literal", NUMBERS_REFUSED)
@pytest.mark.parametrize("shape", ["%s", "[%s]", '{"n":%s}'])
def test_monstrous_number_in_unknown_field_is_refused(shape: str, literal: str) -> None:
    """A field that the contract does not know is no way around the rule."""
    assert reason_for(spelled("shard", shape % literal)) is Reason.NUMBER_OUT_OF_RANGE


@pytest.mark.parametrize("text", [*NUMBERS_REFUSED, '\\"' + "9" * 50, "a,1e999,b", ": 1e999}"])
def test_digits_in_a_string_are_no_number(text: str) -> None:
    """What looks like a monstrous number inside a string, or a key, is text."""
    sent = {"s": text, text: [text, {"deep": text}]}
    assert json.loads(metadata_of(event(metadata=sent))) == sent


def test_hexadecimal_digest_is_no_number() -> None:
    """Hashes and UUIDs, full of digits and of `e`, are taken."""
    sent = {"sha": "1234567890" * 6 + "4e-1", "id": "550e8400-e29b-41d4-a716-446655440000"}
    assert json.loads(metadata_of(event(metadata=sent))) == sent


def test_equal_keys_are_kept_as_sent() -> None:
    """Plain duplicate keys are jsonb's to settle (the last wins): the bytes stay."""
    assert metadata_of(spelled("metadata", '{"a":1,"a":2}')) == b'{"a":1,"a":2}'


def test_last_of_equal_fields_counts() -> None:
    """At the top, too, the last of equal keys is the event's."""
    text = json.dumps(GOOD).encode()[:-1] + b', "tool_name": "last", "metadata": {"n": 1}}'
    verdict = decode(record(text))
    assert isinstance(verdict, Row)
    assert (verdict.tool_name, verdict.metadata) == ("last", b'{"n": 1}')


def test_escapes_and_unicode_are_kept_as_sent() -> None:
    """Escapes stay escapes, and characters characters: nothing is written anew."""
    text = r'{"a": "\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t", "é😀￿": "\u007f"}'
    assert metadata_of(spelled("metadata", text)) == text.encode()


def test_field_is_unescaped() -> None:
    """A column holds the characters that the escapes stand for."""
    verdict = decode(spelled("user_id", r'"\u00e9\ud83d\ude00\\u0000"'))
    assert isinstance(verdict, Row)
    assert verdict.user_id == "\u00e9\U0001f600\\u0000"


def test_nul_becomes_replacement_and_is_counted() -> None:
    """A NUL hides no event: it is replaced everywhere, and metadata says how often."""
    given = event(
        user_id="a\0b",
        reason="\0",
        metadata={"k\0": "\0\0", "list": ["x\0"]},
        **{"un\0known": "\0"},
    )
    verdict = decode(given)
    assert isinstance(verdict, Row)
    assert (verdict.user_id, verdict.reason) == ("a\ufffdb", "\ufffd")
    assert json.loads(verdict.metadata) == {
        "k\ufffd": "\ufffd\ufffd",
        "list": ["x\ufffd"],
        "_extra": {"un\ufffdknown": "\ufffd"},
        "_ingest": {"nul_replaced": 8},
    }


def test_escaped_backslash_before_u0000_is_no_nul() -> None:
    r"""`\\u0000` is a backslash and five characters; `\\\u0000` is a backslash and a NUL."""
    plain = rb'{"a": "\\u0000"}'
    assert metadata_of(spelled("metadata", plain)) == plain
    mended = metadata_of(spelled("metadata", rb'{"a": "\\\u0000\\u0000"}'))
    assert json.loads(mended) == {"a": "\\\ufffd\\u0000", "_ingest": {"nul_replaced": 1}}


def test_keys_that_nul_makes_equal_are_counted() -> None:
    """Two keys that become one are said; keys that were equal before are not."""
    text = r'{"k\u0000": 1, "k\ufffd": 2, "same": 3, "same": 4, "o": [{"\u0000": 5, "\ufffd": 6}]}'
    assert json.loads(metadata_of(spelled("metadata", text))) == {
        "k\ufffd": 2,
        "same": 4,
        "o": [{"\ufffd": 6}],
        "_ingest": {"nul_replaced": 2, "duplicate_keys": 2},
    }


def test_nul_does_not_spare_other_rules() -> None:
    """An event with a NUL is judged as any other."""
    assert reason_for(event(user_id="\0", decision="no")) is Reason.BAD_DECISION
    assert reason_for(event(id="\0" * 36)) is Reason.BAD_ID
    assert reason_for(spelled("metadata", r'{"a": "\ud800\u0000"}')) is Reason.NOT_JSON


def test_numbers_beside_a_nul_stay_exact() -> None:
    """Mending a NUL touches no digit."""
    mended = metadata_of(
        spelled("metadata", rb'{"z": "\u0000", "n": 1.10, "m": 18446744073709551616}')
    )
    assert b"1.10" in mended
    assert b"18446744073709551616" in mended


@pytest.mark.parametrize(
    "value",
    [
        b"[" * 1_048_576,
        b'{"a":' * 209_715,
        b"[]" * 524_288,
        b'"' * 1_048_576,
        b"\\" * 1_048_576,
        b'{"a":"' + rb"\u0000" * 170_000 + b'"}',
        b'{"a":"' + b"\\" * 1_000_000,
        b"9" * 1_048_576,
        b'{"a":"' + b"9" * 1_000_000 + b'"}',
        b"\xff" * 1_048_576,
    ],
    ids=lambda value: repr(value[:9]),
)
def test_a_megabyte_of_malice_takes_a_moment(value: bytes) -> None:
    """No record of the largest size keeps its neighbours waiting: work grows with size only."""
    before = time.process_time()
    assert isinstance(decode(record(value)), Rejection)
    assert time.process_time() - before < 2
