"""Each reason with what lies on both sides of its boundary."""

from __future__ import annotations

import json
from typing import Any

import pytest

from given_events import GOOD, KAFKA_MS, TELEMETRY, event, event_without, record, spelled
from ingest_service.events.decode import CONTRACT, UnknownContractError, decode, decoder
from ingest_service.events.record import Limits, Row, StoredRecord
from ingest_service.events.rejection import Reason, Rejection

DAY = 86_400
KAFKA_SECONDS = KAFKA_MS / 1_000


def nested(depth: int) -> StoredRecord:
    """Return an event that nests so deep; the event and its metadata are two of it."""
    return spelled("metadata", '{"d":' + "[" * (depth - 2) + "]" * (depth - 2) + "}")


def sized(size: int) -> StoredRecord:
    """Return an event whose value has exactly so many bytes."""
    empty = json.dumps({**GOOD, "reason": ""}).encode()
    return event(reason="r" * (size - len(empty)))


def telemetry(**changes: Any) -> StoredRecord:
    return record(json.dumps({**TELEMETRY, **changes}).encode())


def is_row(given: StoredRecord) -> bool:
    return isinstance(decode(given), Row)


def reason_for(given: StoredRecord) -> Reason:
    verdict = decode(given)
    assert isinstance(verdict, Rejection)
    return verdict.reason


REJECTED = [
    (Reason.EMPTY, record(None)),
    (Reason.EMPTY, record(b"")),
    (Reason.TOO_LARGE, sized(1_048_577)),
    (Reason.TOO_DEEP, nested(65)),
    (Reason.TOO_DEEP, spelled("region", "[" * 64 + "]" * 64)),
    (Reason.TOO_DEEP, record(b"[" * 1_048_576)),
    (Reason.TOO_DEEP, record(b'{"a":' * 200_000)),
    (Reason.NOT_UTF8, spelled("reason", b'"\xff"')),
    (Reason.NOT_UTF8, spelled("metadata", b'{"a":"\xc0\xaf"}')),
    (Reason.NOT_UTF8, spelled("metadata", b'{"\xed\xa0\x80":1}')),
    (Reason.NOT_UTF8, spelled("region", b'["\xf5\x80\x80\x80"]')),
    (Reason.NOT_UTF8, spelled("metadata", b'{"a":"\xff"}, "metadata": {}')),
    (Reason.NOT_JSON, record(b" ")),
    (Reason.NOT_JSON, record(b'{"event_type":')),
    (Reason.NOT_JSON, record(b"[1,")),
    (Reason.NOT_JSON, record(b"nul")),
    (Reason.NOT_JSON, record(json.dumps(GOOD).encode() + b"{}")),
    (Reason.NOT_JSON, record(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())),
    (Reason.NOT_JSON, spelled("metadata", '{"a":NaN}')),
    (Reason.NOT_JSON, spelled("region", "Infinity")),
    (Reason.NOT_JSON, spelled("metadata", r'{"a":"\ud800"}')),
    (Reason.NOT_JSON, spelled("metadata", r'{"\udc00":1}')),
    (Reason.NOT_JSON, spelled("region", r'"\ud83dx"')),
    (Reason.NOT_JSON, spelled("reason", '"a\nb"')),
    (Reason.NOT_JSON, spelled("metadata", '{"a":01}')),
    (Reason.NOT_JSON, spelled("metadata", "{'a':1}")),
    *[(Reason.NOT_AN_OBJECT, record(text)) for text in (b"[]", b"1", b'"x"', b"null", b"true")],
    (Reason.NOT_AN_OBJECT, record(b"1e400")),
    *[
        (Reason.MISSING_FIELD, event_without(name))
        for name in ("event_type", "decision", "reason", "timestamp", "gateway_request_id")
    ],
    *[
        (Reason.WRONG_TYPE, spelled(name, text))
        for name, texts in {
            "id": ("5", "true", "{}"),
            "event_type": ("null", "1", "[]"),
            "user_id": ("1", "false", "{}", "[]"),
            "agent_id": ("1.5",),
            "server_name": ("true",),
            "tool_name": ("[]",),
            "reason": ("null", "3"),
            "timestamp": ('"1700000000"', "true", "null", "[]", "{}"),
            "gateway_request_id": ("null", "7"),
            "metadata": ("[]", '"{}"', "0", "false"),
        }.items()
        for text in texts
    ],
    (Reason.WRONG_TYPE, telemetry(reason=1)),
    (Reason.TOO_LONG, event(event_type="e" * 51)),
    *[
        (Reason.TOO_LONG, event(**{name: "n" * 513}))
        for name in ("user_id", "agent_id", "server_name", "tool_name", "gateway_request_id")
    ],
    *[
        (Reason.BAD_ID, event(id=text))
        for text in (
            "",
            "0190a3c27b1e7c3d8f2a1b2c3d4e5f60",
            "{0190a3c2-7b1e-7c3d-8f2a-1b2c3d4e5f60}",
            "0190a3c2-7b1e-7c3d-8f2a-1b2c3d4e5f6",
            "0190a3c2-7b1e-7c3d-8f2a-1b2c3d4e5f60 ",
            "0190a3c2-7b1e-7c3d-8f2a-1b2c3d4e5f6g",
            "0190a3c2-7b1e-7c3d-8f2a-1b2c3d4e5f6\uff10",
            "0190a3c2_7b1e_7c3d_8f2a_1b2c3d4e5f60",
        )
    ],
    *[
        (Reason.BAD_EVENT_TYPE, event(event_type=text))
        for text in ("", "Tool", "9lives", "_x", "tool invoke", "tool_invoke\n", "t\u00fcr")
    ],
    *[
        (Reason.BAD_DECISION, spelled("decision", text))
        for text in ('"Allow"', '""', "null", "true", "1", '"allow "', "[]")
    ],
    (Reason.BAD_DECISION, telemetry(decision="allow")),
    (Reason.BAD_DECISION, event(event_type="telemetry")),
    (Reason.NUMBER_OUT_OF_RANGE, spelled("timestamp", "1e20")),
    (Reason.NUMBER_OUT_OF_RANGE, spelled("timestamp", "-1e308")),
    (Reason.NUMBER_OUT_OF_RANGE, spelled("timestamp", "1e309")),
    (Reason.NUMBER_OUT_OF_RANGE, spelled("timestamp", "1700000000." + "0" * 30)),
    *[
        (Reason.TIMESTAMP_IN_MILLISECONDS, spelled("timestamp", text))
        for text in (
            "100000000000",
            "1700000000123",
            "-1e11",
            "1e14",
            "1.7e18",
            "99999999999999999999",
        )
    ],
    (Reason.TIMESTAMP_TOO_OLD, event(timestamp=KAFKA_SECONDS - 30 * DAY - 0.000001)),
    (Reason.TIMESTAMP_TOO_OLD, event(timestamp=0)),
    (Reason.TIMESTAMP_TOO_OLD, event(timestamp=-1)),
    (Reason.TIMESTAMP_IN_FUTURE, event(timestamp=KAFKA_SECONDS + DAY + 0.000001)),
    (Reason.TIMESTAMP_IN_FUTURE, event(timestamp=99_999_999_999)),
]

ACCEPTED = {
    "as large as allowed": sized(1_048_576),
    "as deep as allowed": nested(64),
    "brackets in strings": event(reason="[{" * 100, metadata={"a": '"[{\\' * 100}),
    "many brackets side by side": event(metadata={"a": [[], {}] * 100}),
    "id in upper case": event(id=GOOD["id"].upper()),
    "id null": event(id=None),
    "longest type": event(event_type="e" * 50),
    "type of one letter": event(event_type="x"),
    "type with every sign": event(event_type="x9_.-"),
    "longest names": event(
        **dict.fromkeys(
            ("user_id", "agent_id", "server_name", "tool_name", "gateway_request_id"),
            "\U0001f600" * 512,
        )
    ),
    "names null": event(user_id=None, agent_id=None, server_name=None, tool_name=None),
    "names absent": event_without("user_id", "agent_id", "server_name", "tool_name"),
    "metadata null": event(metadata=None),
    "telemetry without more": telemetry(),
    "telemetry with nulls": telemetry(decision=None, reason=None),
    "telemetry with a reason": telemetry(reason="start"),
    "oldest": event(timestamp=KAFKA_SECONDS - 30 * DAY),
    "latest": event(timestamp=KAFKA_SECONDS + DAY),
    "whole seconds": event(timestamp=1_700_000_000),
    "seconds with an exponent": spelled("timestamp", "17E8"),
    "longest timestamp": spelled("timestamp", "1700000000." + "0" * 29),
}


@pytest.mark.parametrize(
    ("reason", "given"), REJECTED, ids=[f"{n}-{reason}" for n, (reason, _) in enumerate(REJECTED)]
)
def test_record_is_rejected_for_its_reason(reason: Reason, given: StoredRecord) -> None:
    """A record just outside a rule is rejected, and the reason is that rule's."""
    assert reason_for(given) is reason


@pytest.mark.parametrize("given", ACCEPTED.values(), ids=ACCEPTED)
def test_record_inside_the_rules_is_a_row(given: StoredRecord) -> None:
    """A record just inside every rule is a row."""
    assert is_row(given)


@pytest.mark.parametrize(
    ("number", "unit"),
    [("1700000000123", "milli"), ("1700000000123456", "micro"), ("1700000000123456789", "nano")],
)
def test_unit_of_a_timestamp_is_named(number: str, unit: str) -> None:
    """Who sends another unit than seconds is told which one it is."""
    verdict = decode(spelled("timestamp", number))
    assert isinstance(verdict, Rejection)
    assert f"{unit}seconds" in verdict.message


def test_rejection_names_field_and_types() -> None:
    """A wrong type is reported with the field, what it needs and what it has."""
    verdict = decode(event(user_id=42))
    assert verdict == Rejection(
        Reason.WRONG_TYPE, "user_id must be a string or null, and is a number"
    )


CANARY = "canary-7319"
WITH_CANARY = [
    (Reason.TOO_LARGE, event(reason=CANARY * 100_000)),
    (Reason.TOO_DEEP, spelled(CANARY, "[" * 64 + f'"{CANARY}"' + "]" * 64)),
    (Reason.NOT_UTF8, spelled("reason", f'"{CANARY}'.encode() + b'\xff"')),
    (Reason.NOT_JSON, record(f'{{"{CANARY}": {CANARY}}}'.encode())),
    (Reason.NOT_AN_OBJECT, record(f'["{CANARY}"]'.encode())),
    (Reason.MISSING_FIELD, record(json.dumps({CANARY: CANARY}).encode())),
    (Reason.WRONG_TYPE, event(user_id=[CANARY])),
    (Reason.TOO_LONG, event(tool_name=CANARY * 50)),
    (Reason.BAD_ID, event(id=CANARY)),
    (Reason.BAD_EVENT_TYPE, event(event_type=CANARY.upper())),
    (Reason.BAD_DECISION, event(decision=CANARY)),
    (Reason.NUMBER_OUT_OF_RANGE, spelled("timestamp", "7319e7319")),
    (Reason.NUMBER_OUT_OF_RANGE, spelled(CANARY, "7319e7319")),
    (Reason.NUMBER_OUT_OF_RANGE, spelled("metadata", f'{{"{CANARY}": 7319e7319}}')),
    (Reason.TIMESTAMP_IN_MILLISECONDS, event(timestamp=1_700_000_007_319)),
    (Reason.TIMESTAMP_TOO_OLD, event(timestamp=1_500_007_319)),
    (Reason.TIMESTAMP_IN_FUTURE, event(timestamp=1_900_007_319)),
]


@pytest.mark.parametrize(
    ("reason", "given"), WITH_CANARY, ids=[f"{n}-{r}" for n, (r, _) in enumerate(WITH_CANARY)]
)
def test_message_holds_no_content(reason: Reason, given: StoredRecord) -> None:
    """Whatever stands in a bad event, its values and its own names are not in the message."""
    verdict = decode(given)
    assert isinstance(verdict, Rejection)
    assert verdict.reason is reason
    assert "canary" not in verdict.message.lower()
    assert "7319" not in verdict.message


def test_max_age_is_the_limits() -> None:
    """How old an event may be is a limit of the ledger entry, to the microsecond."""
    narrow = Limits(max_age_seconds=60)
    assert isinstance(decode(event(timestamp=KAFKA_SECONDS - 60), CONTRACT, narrow), Row)
    late = decode(event(timestamp=KAFKA_SECONDS - 60.000001), CONTRACT, narrow)
    assert isinstance(late, Rejection)
    assert late.reason is Reason.TIMESTAMP_TOO_OLD
    assert "60 seconds" in late.message


def test_no_limit_reaches_before_1970() -> None:
    """However old events may be, a time before 1970 is too old: the column's range is far away."""
    ages = Limits(max_age_seconds=10_000 * 365 * DAY)
    assert isinstance(decode(event(timestamp=0), CONTRACT, ages), Row)
    verdict = decode(event(timestamp=-0.000001), CONTRACT, ages)
    assert isinstance(verdict, Rejection)
    assert verdict.reason is Reason.TIMESTAMP_TOO_OLD


def test_unknown_contract_is_a_clear_error() -> None:
    """An entry of a newer contract is not judged by guesswork."""
    with pytest.raises(UnknownContractError, match="contract 99 cannot be decoded by this version"):
        decoder(99)
    with pytest.raises(UnknownContractError, match="newer ingest-service"):
        decode(event(), 99)
