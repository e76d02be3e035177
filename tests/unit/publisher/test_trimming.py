"""Whatever stands in an event's free fields, it becomes a row, and says what was cut."""

import datetime as dt
import hashlib
import json
import math
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_service.events.audit_event import GatewayAuditEvent
from ingest_service.events.decode import decode
from ingest_service.events.record import Limits, Row, StoredRecord
from ingest_service.publisher.sealing import seal

NOW = 1_780_000_000
ID = uuid.UUID("0190f5fe-0000-7000-8000-000000000001")
LIMIT = 1_048_576


def event(**fields: Any) -> GatewayAuditEvent:
    ordinary = {
        "event_type": "tool_invoke",
        "decision": "deny",
        "reason": "no rule allows it",
        "timestamp": NOW,
        "gateway_request_id": "req-1",
    }
    return GatewayAuditEvent(**(ordinary | fields))


def sealed(given: GatewayAuditEvent, telemetry: dict[str, Any] | None = None) -> Any:
    return seal(given, ID, telemetry, NOW * 1000, Limits())


def row_of(given: GatewayAuditEvent, telemetry: dict[str, Any] | None = None) -> Row:
    return decoded(sealed(given, telemetry).value)


def decoded(value: bytes) -> Row:
    row = decode(StoredRecord("t", 0, 7, NOW * 1000, None, value))
    assert isinstance(row, Row), row
    return row


def metadata_of(given: GatewayAuditEvent) -> dict[str, Any]:
    return json.loads(row_of(given).metadata)


def notes_of(given: GatewayAuditEvent) -> list[dict[str, Any]]:
    return metadata_of(given)["_trimmed"]["values"]


class Hostile:
    """Raises whatever it is asked."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __hash__ = __iter__ = __len__ = __eq__ = __bool__ = __str__


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


def cyclic() -> list[Any]:
    ring: list[Any] = [1]
    ring.append({"again": ring})
    return ring


def nested(depth: int) -> list[Any]:
    tree: list[Any] = []
    for _ in range(depth - 1):
        tree = [tree]
    return tree


def shared(depth: int) -> list[Any]:
    """Return what would be ten to the power of its depth values, written out."""
    tree: list[Any] = ["x"]
    for _ in range(depth):
        tree = [tree] * 10
    return tree


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**39, -(10**39), 10**41, -1, 0]),
    st.builds(pow, st.just(10), st.just(5000)),  # too long for str()
    st.floats(),
    st.sampled_from([5e-324, 1e-308, 9.9e-309, 1.7976931348623157e308, math.nan, -math.inf]),
    st.text(st.characters()),  # surrogates and NUL too
    st.sampled_from(["\ud800", "\x00", "a\\u0000", "\udc80" * 3, "\ud83d\ude00", "x" * 2000]),
    st.binary(max_size=20),
    st.builds(bytearray, st.binary(max_size=4)),
    st.datetimes(),
    st.dates(),
    st.uuids(),
    st.decimals(),
    st.complex_numbers(),
    st.sets(st.integers(), max_size=3),
    st.frozensets(st.text(max_size=2), max_size=2),
    st.builds(Hostile),
    st.builds(cyclic),
    st.builds(nested, st.integers(1, 80)),
    st.just(object),
    st.builds(Text, st.text(max_size=4)),
    st.builds(Whole, st.integers(-5, 5)),
)
KEYS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["_trimmed", "_ingest", "_extra", "telemetry", "\ud800", "k" * 600, "1", "~/"]),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.tuples(st.integers(), st.text(max_size=3)),
    st.binary(max_size=3),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(KEYS, inner, max_size=5),
        st.tuples(inner, inner),
    ),
    max_leaves=25,
)


@given(st.one_of(st.dictionaries(KEYS, TREES, max_size=5), TREES))
@settings(max_examples=250)
def test_any_metadata_becomes_a_row_with_its_decision(metadata: Any) -> None:
    """No argument tree whatever keeps a decision out of the audit."""
    row = row_of(event(metadata=metadata))
    assert (row.decision, row.reason, row.id) == ("deny", "no rule allows it", str(ID))


@given(name=TREES, reason=TREES, request_id=TREES, audit_id=TREES)
@settings(max_examples=200)
def test_any_value_in_a_free_field_becomes_a_row(
    name: Any, reason: Any, request_id: Any, audit_id: Any
) -> None:
    """Names, reason, request id and audit id of any type are mended, never refused."""
    given_event = event(
        user_id=name, tool_name=name, reason=reason, gateway_request_id=request_id, id=audit_id
    )
    assert row_of(given_event).decision == "deny"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=9).filter(lambda key: key != "_trimmed"), JSON))
def test_what_fits_is_sent_byte_for_byte(metadata: dict[str, Any]) -> None:
    """An event that the contract takes leaves as its plain encoding, untouched."""
    given_event = event(id=ID, metadata=metadata)
    result = sealed(given_event)
    assert result.value == msgspec.json.encode(given_event)
    assert result.trimmed == 0


@given(st.data())
@settings(max_examples=20)
def test_oversize_events_become_rows_within_the_limit(data: st.DataObject) -> None:
    """However its megabytes are spread, an event comes out within 1 MiB, and is marked."""
    shapes = [
        lambda n: "x" * n,
        lambda n: "\x01" * (n // 6 + 1),
        lambda n: [0] * (n // 2),
        lambda n: ["ab"] * (n // 5),
        lambda n: {f"key-{index}": "v" * 20 for index in range(n // 30)},
        lambda n: {"k" * 500 + str(index): index for index in range(n // 500)},
        lambda n: [["y" * 100_000] * (n // 100_000 + 1)],
        lambda n: [{"deep": {"deeper": ["z" * n]}}, 1, 2],
        lambda n: tuple("w" * 4000 for _ in range(n // 4000 + 1)),
    ]
    parts = data.draw(st.lists(st.sampled_from(shapes), min_size=1, max_size=4))
    size = data.draw(st.integers(1_050_000, 3_000_000)) // len(parts) + 1000
    metadata = {f"part-{index}": make(size) for index, make in enumerate(parts)}
    given_event = event(metadata=metadata | {"action": "invoke"})
    assert len(msgspec.json.encode(given_event)) > LIMIT
    value = sealed(given_event).value
    assert len(value) <= LIMIT
    kept = json.loads(decoded(value).metadata)
    assert kept["action"] == "invoke"
    assert kept["_trimmed"]["count"] >= 1


def test_only_the_largest_part_is_cut() -> None:
    """One body that is too large goes; everything beside it stays as it was."""
    body = "x" * 2_000_000
    params = {"title": "hello", "body": body, "labels": ["a", "b"]}
    kept = metadata_of(event(metadata={"action": "invoke", "params": params}))
    assert kept["params"] == {"title": "hello", "body": "x" * 256, "labels": ["a", "b"]}
    assert kept["_trimmed"] == {
        "count": 1,
        "values": [
            {
                "path": "/metadata/params/body",
                "reason": "too_large",
                "size": len(body) + 2,
                "sha256": hashlib.sha256(json.dumps(body).encode()).hexdigest(),
            }
        ],
    }


def test_a_long_list_goes_as_a_whole_with_its_hash() -> None:
    """Too many small values to name each: what holds them is replaced, and can be proved."""
    numbers = list(range(200_000))
    [note] = notes_of(event(metadata={"params": {"numbers": numbers}}))
    encoded = msgspec.json.encode(numbers)
    assert note["path"] == "/metadata/params/numbers"
    assert (note["size"], note["sha256"]) == (len(encoded), hashlib.sha256(encoded).hexdigest())


def test_known_keys_survive_a_flood_of_small_ones() -> None:
    """Fifty thousand made-up keys can not wash out what the metrics and auditors read."""
    flood = {f"key-{index}": "v" * 20 for index in range(50_000)}
    known = {"action": "invoke", "latency_ms": 3.5, "cache_hit": True, "tenant": "acme"}
    kept = metadata_of(event(metadata=flood | known))
    assert {key: kept[key] for key in known} == known
    assert kept["_trimmed"]["values"][-1]["path"] == "/metadata"


def test_a_huge_reason_is_cut_and_metadata_stays() -> None:
    """The reason is a field like any other: its beginning is kept, its hash tells the rest."""
    row = row_of(event(reason="r" * 2_000_000, metadata={"action": "invoke"}))
    assert row.reason == "r" * 256
    assert json.loads(row.metadata)["_trimmed"]["values"][0]["path"] == "/reason"


@pytest.mark.parametrize("field", ["user_id", "agent_id", "server_name", "tool_name"])
def test_long_names_are_cut_to_what_an_index_holds(field: str) -> None:
    """A name of 600 characters does not hide the event: 512 are kept, the note has its hash."""
    given_event = event(**{field: "n" * 600})
    assert getattr(row_of(given_event), field) == "n" * 512
    assert notes_of(given_event)[0]["path"] == f"/{field}"


def test_names_of_512_characters_are_not_touched() -> None:
    """The bound itself is allowed, counted in characters and not in bytes."""
    given_event = event(id=ID, user_id="é" * 512)
    assert sealed(given_event).value == msgspec.json.encode(given_event)


def test_nesting_is_kept_to_64_and_cut_below() -> None:
    """The event counts one, metadata two: sixty-two more fit, the next is replaced."""
    assert "_trimmed" not in metadata_of(event(metadata={"tree": nested(62)}))
    [note] = notes_of(event(metadata={"tree": nested(63)}))
    assert note["reason"] == "too_deep"
    assert note["path"] == "/metadata/tree" + "/0" * 62


def test_bottomless_nesting_is_no_way_out() -> None:
    """A tree deeper than Python recurses is cut where the contract ends."""
    assert notes_of(event(metadata={"tree": nested(100_000)}))[0]["reason"] == "too_deep"


def test_what_holds_itself_a_billion_times_costs_little() -> None:
    """Ten references to ten references, forty levels deep, are neither written out nor counted."""
    kept = metadata_of(event(metadata={"action": "invoke", "tree": shared(40)}))
    assert kept["action"] == "invoke"
    assert kept["_trimmed"]["count"] >= 1


@pytest.mark.parametrize(
    ("value", "instead", "reason"),
    [
        (math.nan, "nan", "number_out_of_range"),
        (math.inf, "inf", "number_out_of_range"),
        (5e-324, "5e-324", "number_out_of_range"),
        (10**45, str(10**45), "number_out_of_range"),
        (10**5000, "[trimmed: number_out_of_range]", "number_out_of_range"),
        (Hostile(), "[trimmed: not_json]", "not_json"),
        ("\ud800!", "\ufffd!", "not_text"),
    ],
    ids=["nan", "inf", "tiny", "long", "longest", "object", "surrogate"],
)
def test_what_is_no_json_is_replaced_and_noted(value: Any, instead: str, reason: str) -> None:
    """A value that JSON or the database cannot hold leaves a stand-in, never nothing."""
    kept = metadata_of(event(metadata={"value": value}))
    assert kept["value"] == instead
    assert kept["_trimmed"]["values"][0]["reason"] == reason


def test_dates_ids_and_bytes_are_written_as_text() -> None:
    """What msgspec has a text for is not damage: it is written so, without a note."""
    day = dt.date(2026, 1, 2)
    kept = metadata_of(event(metadata={"day": day, "id": ID, "raw": b"ab", "set": {1}}))
    assert kept == {"day": "2026-01-02", "id": str(ID), "raw": "YWI=", "set": [1]}


def test_keys_that_become_equal_are_all_kept() -> None:
    """1 and "1" are two keys in Python and one in JSON: the second gets another name."""
    assert metadata_of(event(metadata={"tree": {1: "a", "1": "b", math.inf: "c"}}))["tree"] == {
        "1": "a",
        "1+": "b",
        "inf": "c",
    }


def test_a_forged_marker_is_replaced_by_the_true_one() -> None:
    """Who sends `_trimmed` himself cannot make ours unreadable: his is noted as reserved."""
    note = notes_of(event(metadata={"_trimmed": {"count": 0}, "value": math.nan}))
    assert [item["reason"] for item in note] == ["number_out_of_range", "reserved"]


def test_notes_are_counted_beyond_those_listed() -> None:
    """A thousand replaced values make 64 notes and the true count."""
    trimmed = metadata_of(event(metadata={"values": [math.nan] * 1000}))["_trimmed"]
    assert (trimmed["count"], len(trimmed["values"])) == (1000, 64)


def test_telemetry_is_kept_when_arguments_are_cut() -> None:
    """Big arguments push the counters of the gateway out as little as the decision."""
    telemetry = {"counters": [{"name": "cache_hits", "labels": {}, "delta": 3}]}
    row = row_of(event(metadata={"params": "x" * 3_000_000}), telemetry)
    assert json.loads(row.metadata)["telemetry"] == telemetry


@pytest.mark.parametrize(
    "broken",
    [
        {"decision": "perhaps"},
        {"decision": None},
        {"decision": Hostile()},
        {"event_type": "Tool Invoke"},
        {"event_type": 7},
        {"event_type": "x" * 2_000_000},
        {"timestamp": NOW * 1000},
        {"timestamp": "today"},
        {"timestamp": math.nan},
        {"timestamp": True},
    ],
)
def test_a_broken_contract_is_told_at_once(broken: dict[str, Any]) -> None:
    """A wrong decision, type or time is a mistake in the gateway: it hears of it in its tests."""
    with pytest.raises(ValueError, match="_"):
        sealed(event(**broken))


def test_the_key_is_the_request_id() -> None:
    """All events of one request lie in one partition."""
    assert sealed(event(gateway_request_id="réq")).key == "réq".encode()


def test_an_event_without_request_id_is_keyed_by_its_id() -> None:
    """Without a request id, events spread over the partitions instead of heaping up in one."""
    result = sealed(event(gateway_request_id=None))
    assert result.key == str(ID).encode()


def test_many_small_oddities_do_not_push_out_the_hash_of_a_cut() -> None:
    """A hundred broken texts fill the list of notes; the megabytes that went are noted all the same."""
    odd = ["\ud800"] * 100
    notes = notes_of(event(metadata={"params": {"odd": odd, "body": "x" * 2_000_000}}))
    assert "/metadata/params/body" in [item["path"] for item in notes]
