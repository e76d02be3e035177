"""Laws of decoding over data that nobody thought of."""

from __future__ import annotations

import json
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from drawn_events import changed_events, json_values, text, values
from given_events import KAFKA_MS, event, record, spelled
from ingest_service.events.decode import decode, decoder
from ingest_service.events.record import Limits, Row, StoredRecord
from ingest_service.events.rejection import Reason, Rejection
from ingest_service.events.v1.careful import judge
from ingest_service.events.v1.fields import FIELDS
from ingest_service.events.v1.structure import has_long_integer, is_too_deep

WRITING = {Reason.ID_REUSED, Reason.REFUSED_BY_DATABASE}


@given(values)
@example(b'{"metadata":{"a":1e400},"metadata":{}}')
@example(b'{"metadata":' + b"[" * 80 + b"]" * 80 + b',"metadata":{}}')
def test_decoding_always_answers(value: bytes) -> None:
    """Whatever arrives is a row or a rejection that the decoder may give: never an exception."""
    verdict = decode(record(value))
    assert isinstance(verdict, Row | Rejection)
    if isinstance(verdict, Rejection):
        assert verdict.reason not in WRITING
        assert verdict.message


@given(values, st.integers(KAFKA_MS - 10**6, KAFKA_MS + 10**6), st.sampled_from([1, 3_600, 10**9]))
def test_the_short_way_answers_as_the_definition(value: bytes, kafka_ms: int, age: int) -> None:
    """The fast function and the readable definition never differ, in no byte of any answer."""
    limits = Limits(max_age_seconds=age)
    given = record(value, kafka_ms)
    assert decoder(1, limits)(given) == judge(given, limits)


@given(values, st.integers(-(2**63), 2**63 - 1))
def test_any_kafka_time_is_answered(value: bytes, kafka_ms: int) -> None:
    """A broker's absurd clock makes no exception either."""
    assert decode(record(value, kafka_ms)) == judge(record(value, kafka_ms), Limits())


@given(changed_events(), st.binary(), st.lists(st.tuples(st.text(), st.none() | st.binary())))
def test_key_and_headers_do_not_matter(
    value: bytes, key: bytes, headers: list[tuple[str, bytes | None]]
) -> None:
    """The verdict is the value's and the place's alone."""
    other = StoredRecord("gateway.audit.events", 3, 7, KAFKA_MS, key, value, headers)
    assert decode(other) == decode(record(value))


@given(st.dictionaries(text, json_values, max_size=5))
def test_metadata_comes_back(sent: dict[str, object]) -> None:
    """Metadata in which nothing had to change is read back equal, and byte for byte."""
    raw = json.dumps(sent)
    verdict = decode(spelled("metadata", raw))
    if isinstance(verdict, Rejection):
        assert verdict.reason is Reason.NUMBER_OUT_OF_RANGE
    elif "\\u0000" not in raw and not {"_extra", "_ingest"} & sent.keys():
        assert json.loads(verdict.metadata) == sent
        assert verdict.metadata == raw.encode()


without_nul = text.filter(lambda drawn: "\0" not in drawn)


@given(st.dictionaries(without_nul.filter(lambda name: name not in FIELDS), without_nul))
def test_nothing_unknown_is_dropped(unknown: dict[str, str]) -> None:
    """Every field that the contract does not know is found under `_extra`."""
    verdict = decode(event(**unknown))
    assert isinstance(verdict, Row)
    assert json.loads(verdict.metadata).get("_extra", {}) == unknown


literals = st.builds(
    lambda whole, fraction, exponent: f"{whole}{fraction}{exponent}",
    st.integers(0, 2**33) | st.integers(1_699_000_000, 1_701_000_000) | st.sampled_from([17, 170]),
    st.just("")
    | st.text("0123456789", min_size=6, max_size=7).map(".{}".format)
    | st.text("0123456789", min_size=1, max_size=25).map(".{}".format),
    st.sampled_from(["", "", "", "e0", "E+0", "e7", "e-3"]),
)


@given(literals)
@example("1700000000.0000005")
@example("1700000000.0000015")
@example("1700000000.00000050000000000000000000001")
@example("1700008730.6886406")  # a product of doubles rounds this one down
@example("8619318675.317330")  # and this one too, though it has six decimals
def test_microseconds_are_exact(literal: str) -> None:
    """The stored time is the decimal number as written, rounded to the microsecond half to even."""
    exact = round(Fraction(literal) * 10**6)
    given = spelled("timestamp", literal)._replace(timestamp=exact // 1_000)
    verdict = decode(given)
    assert isinstance(verdict, Row) == (Fraction(literal) < 10**11)
    if isinstance(verdict, Row):
        assert verdict.timestamp_us == exact


@given(json_values)
def test_structure_is_seen_without_parsing(value: object) -> None:
    """Depth and long integers found in the text are those of the parsed value."""
    raw = json.dumps(value).encode()
    assert is_too_deep(b"[" * 60 + raw + b"]" * 60) == (depth_of(value) > 4)
    assert has_long_integer(raw) == has_long(value)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def has_long(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(has_long, value.values()))
    if isinstance(value, list):
        return any(map(has_long, value))
    return isinstance(value, int) and len(str(value)) > 40
