"""What each sink is sent: always valid, the event's own bytes inside, the database's audit id."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from given_events import (
    GOOD,
    ID,
    KAFKA_MS,
    SECONDS,
    TELEMETRY,
    event,
    event_without,
    record,
    spelled,
)
from ingest_service.events.decode import decode
from ingest_service.events.record import Row, StoredRecord
from ingest_service.events.v1.bounds import MAX_NUMBER_CHARACTERS
from ingest_service.events.v1.identity import derive_id
from ingest_service.forward.sinks.memo import MAX_KEYS
from ingest_service.forward.sinks.splunk import Splunk
from made_sinks import datadog, encoded, entry_of, parse, splunk, unsendable

SINKS = [splunk(), datadog()]
each_sink = pytest.mark.parametrize("sink", SINKS, ids=["splunk", "datadog"])

Sink = type(SINKS[0]) | type(SINKS[1])


def event_text(entry: dict) -> object:
    return entry["event"] if "event" in entry else entry["audit"]


def audit_id(entry: dict) -> str:
    return entry["fields"]["audit_id"] if "fields" in entry else entry["audit_id"]


def place(entry: dict) -> tuple[str, int, int]:
    fields = entry.get("fields")
    if fields is not None:
        return fields["kafka_topic"], fields["kafka_partition"], fields["kafka_offset"]
    return tuple(entry["kafka"].values())


GOOD_VALUE = json.dumps(GOOD).encode()

# --- any record ----------------------------------------------------------------------------------

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        [ID, ID.upper(), "allow", "deny", "tool_invoke", "telemetry", "\x00", "\ud7ff"]
    ),
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from([*GOOD, "extra"])
spellings = st.sampled_from(
    ["1e3", "1.7E9", "1700000000", "1700000000.000000001", "-1", "0", "1e999", "1700000000123",
     '"\\u0000"', "[" * 70 + "]" * 70, '{"gateway":{"instance":"gw-7"}}', '{"gateway":7}']
)  # fmt: skip
odd_events = st.dictionaries(names, anything, max_size=4).map(
    lambda changes: json.dumps({**GOOD, **changes}).encode()
)
spelled_events = st.builds(lambda name, text: spelled(name, text).value, names, spellings)
values = st.one_of(
    st.none(),
    st.binary(max_size=60),
    st.text(max_size=40).map(str.encode),
    anything.map(lambda value: json.dumps(value).encode()),
    odd_events,
    spelled_events,
    odd_events.flatmap(lambda text: st.integers(0, len(text)).map(lambda end: text[:end])),
    st.sampled_from([b"", b"{}", b"[]", b"null", b"\xef\xbb\xbf{}", b"[" * 5000, b'{"a":"\xff"}']),
)


@each_sink
@given(value=values, offset=st.integers(0, 2**62))
def test_any_record_becomes_one_valid_entry(sink: Sink, value: bytes | None, offset: int):
    """Whatever arrives, the entry is one line's worth of strict JSON that names its place."""
    given_record = record(value, offset=offset)
    entry = entry_of(sink, given_record)
    assert place(entry) == ("gateway.audit.events", 3, offset)


@each_sink
@given(value=values)
def test_short_way_and_careful_way_write_the_same(sink: Sink, value: bytes | None):
    """How a record was read cannot be seen in what is sent: the short way is only faster."""
    assert encoded(sink, record(value)) == sink._encode_any(record(value))


@each_sink
@given(values=st.lists(values | st.just(GOOD_VALUE), max_size=12))
def test_odd_record_changes_nothing_for_its_neighbours(sink: Sink, values: list[bytes | None]):
    """Written together, each record becomes what it becomes alone."""
    records = [record(value, offset=offset) for offset, value in enumerate(values)]
    assert sink.encode(records) == [encoded(sink, each) for each in records]


@each_sink
@given(value=values)
def test_audit_id_is_the_rows(sink: Sink, value: bytes | None):
    """An event has the id at a sink that it has in the database, sent or derived."""
    given_record = record(value)
    verdict = decode(given_record)
    sent = audit_id(entry_of(sink, given_record))
    if isinstance(verdict, Row):
        assert sent == verdict.id
    else:
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", sent)


@each_sink
@given(value=values)
def test_original_is_inside_unchanged(sink: Sink, value: bytes | None):
    """A JSON object is there byte for byte; anything else is a string that gives it back."""
    body = encoded(sink, record(value))
    assert isinstance(body, bytes)
    sent = event_text(parse(body))
    if sent.keys() != {"malformed", "malformed_encoding"}:
        assert value is not None
        assert value in body
    elif sent["malformed_encoding"] == "none":
        assert value is None
    elif sent["malformed_encoding"] == "base64":
        assert base64.b64decode(sent["malformed"]) == value
    else:
        assert sent["malformed"].encode() == (value or b"")


@each_sink
@pytest.mark.parametrize(
    "value", [None, b"", b"not json", b"[1]", b"\xff\xfe", b'{"a":1', b'{"a":"\x00"}']
)
def test_malformed_record_is_marked(sink: Sink, value: bytes | None):
    """What is no event goes on under a marker, with Kafka's time and a derived id."""
    given_record = record(value)
    entry = entry_of(sink, given_record)
    assert "malformed" in event_text(entry)
    assert audit_id(entry) == derive_id(given_record)
    if "fields" in entry:
        assert (entry["time"], entry["fields"]["signature"]) == (KAFKA_MS / 1000, "malformed")
    else:
        assert (entry["timestamp"], entry["evt"], entry["status"]) == (
            KAFKA_MS,
            {"name": "malformed"},
            "error",
        )


@each_sink
@pytest.mark.parametrize("sent", [ID, ID.upper(), "\\u0030" + ID[1:]])
def test_id_is_spelled_as_in_the_database(sink: Sink, sent: str):
    """Two spellings of an id are one event to whoever searches for duplicates."""
    assert audit_id(entry_of(sink, spelled("id", f'"{sent}"'))) == ID


@each_sink
def test_many_gateways_take_no_memory(sink: Sink):
    """Whoever makes up a new instance for each event fills nothing."""
    for number in range(5000):
        encoded(sink, event(metadata={"gateway": {"instance": f"gw-{number}"}}))
    memo = sink._tail if isinstance(sink, Splunk) else sink._constants
    assert len(memo) <= MAX_KEYS
    assert b'"gw-4999"' in b"".join(memo.values())


# --- Splunk --------------------------------------------------------------------------------------


def test_splunk_entry_has_only_the_collectors_keys():
    """An unknown key makes Splunk drop everything behind it, with a 200."""
    entry = entry_of(splunk(), event())
    assert set(entry) == {"event", "fields", "host", "source", "sourcetype", "index", "time"}
    assert (entry["source"], entry["sourcetype"], entry["index"]) == (
        "gateway.audit.events",
        "sark:gateway",
        "audit",
    )
    assert "index" not in entry_of(splunk(index=None), event())


@given(value=values)
def test_splunk_fields_are_flat_text_and_numbers(value: bytes | None):
    """A nested or empty indexed field is refused by Splunk (code 15)."""
    entry = entry_of(splunk(), record(value))
    assert all(isinstance(field, str | int) for field in entry["fields"].values())
    assert all(isinstance(entry[name], str) for name in ("host", "source", "sourcetype"))


@pytest.mark.parametrize(("decision", "action"), [("allow", "success"), ("deny", "failure")])
def test_splunk_fields_speak_cim(decision: str, action: str):
    """The action has the values of the Authentication data model."""
    fields = entry_of(splunk(), event(decision=decision))["fields"]
    assert fields["action"] == action
    assert (fields["app"], fields["signature"]) == ("sark-gateway", "tool_invoke")


def test_telemetry_has_no_action():
    """What decides nothing neither succeeded nor failed."""
    sent = record(json.dumps(TELEMETRY).encode())
    assert "action" not in entry_of(splunk(), sent)["fields"]
    assert entry_of(datadog(), sent)["evt"] == {"name": "telemetry"}


@pytest.mark.parametrize(
    "literal",
    ["1700000000", "1700000000.1", "1700000000.123456789012", "1700000000.10", "999999999.5"],
)
def test_splunk_time_keeps_its_digits(literal: str):
    """A double would change the digits of nanoseconds."""
    body = encoded(splunk(), spelled("timestamp", literal))
    assert isinstance(body, bytes)
    assert body.endswith(b'"time":%b}' % literal.encode())


@given(
    literal=st.one_of(
        st.integers(-(10**20), 10**20).map(str),
        st.decimals(-(10**10), 10**10, allow_nan=False, allow_infinity=False).map(str),
        st.sampled_from(
            ["1.7e9", "17000000000E-1", '"1700000000"', "null", "true", "1e-400", "[]"]
        ),
    )
)
def test_splunk_time_is_always_a_plain_time(literal: str):
    """A time that is none, or in another unit, is Kafka's; an exponent is written out."""
    body = encoded(splunk(), spelled("timestamp", literal))
    assert isinstance(body, bytes)
    found = re.search(rb'"time":([0-9]+(?:\.[0-9]+)?)}$', body)
    assert found is not None
    try:
        stated = Decimal(literal)
    except ArithmeticError:
        stated = Decimal(-1)
    sent = Decimal(found[1].decode())
    if Decimal("1e-300") < stated < 2**32 and len(literal) <= MAX_NUMBER_CHARACTERS:
        assert sent == stated
    else:
        assert sent in {stated, Decimal(KAFKA_MS) / 1000}


@each_sink
def test_host_is_the_gateway(sink: Sink):
    """The gateway's instance says where an event happened; a worker's name stands in for it."""
    host = "hostname" if "hostname" in entry_of(sink, event()) else "host"
    named = event(metadata={"gateway": {"instance": "gw-7", "version": "1"}})
    assert entry_of(sink, named)[host] == "gw-7"
    assert (
        entry_of(sink, named._replace(value=named.value.replace(ID.encode(), ID.upper().encode())))[
            host
        ]
        == "gw-7"
    )
    for odd in (
        {"gateway": {"instance": 7}},
        {"gateway": []},
        {"gateway": {"instance": ""}},
        [],
        None,
    ):
        assert entry_of(sink, event(metadata=odd))[host] == "worker-1"


def test_splunk_takes_five_megabytes_and_no_more():
    """An event that Splunk could not index is dead-lettered whole; a stand-in says so."""
    noise = record(b"\x01" * 1_040_000)
    found = unsendable(splunk(), noise)
    assert found.why.code == "entry_too_large"
    assert found.marked is not None
    entry = parse(found.marked)
    assert entry["event"]["original_bytes"] == 1_040_000
    assert audit_id(entry) == derive_id(noise)


# --- Datadog -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decision", "outcome", "status"),
    [("allow", "success", "info"), ("deny", "failure", "warning")],
)
def test_datadog_entry_has_the_standard_attributes(decision: str, outcome: str, status: str):
    """Datadog's own views and rules find who did what, and what came of it."""
    entry = entry_of(datadog(), event(decision=decision))
    assert entry == {
        "evt": {"name": "tool_invoke", "outcome": outcome},
        "status": status,
        "message": f"tool_invoke {decision}",
        "ddsource": "sark",
        "service": "sark-gateway",
        "ddtags": "env:prod",
        "hostname": "worker-1",
        "usr": {"id": "user-1"},
        "audit": {**GOOD, "decision": decision},
        "audit_id": ID,
        "timestamp": round(SECONDS * 1000),
        "kafka": {"topic": "gateway.audit.events", "partition": 3, "offset": 7},
    }


def test_datadog_user_is_the_agent_when_no_user_acted():
    """An agent's own act has somebody who did it; nobody at all is left out."""
    assert entry_of(datadog(), event(user_id=None, agent_id='a"1'))["usr"] == {"id": 'a"1'}
    assert "usr" not in entry_of(datadog(), event(user_id=None))


@pytest.mark.parametrize(
    ("hours", "name"), [(0, "timestamp"), (16, "timestamp"), (18, "event_timestamp")]
)
def test_datadog_timestamp_is_never_too_old(hours: int, name: str):
    """What Datadog would not take as the log's time is kept under another name."""
    late = datadog(now=SECONDS + hours * 3600)
    entry = entry_of(late, event())
    assert entry[name] == round(SECONDS * 1000)
    assert len({"timestamp", "event_timestamp"} & set(entry)) == 1
    assert name in entry_of(late, event(id=ID.upper()))


def large(filler: int) -> StoredRecord:
    return event(metadata={"params": {"text": "x" * filler}})


def test_datadog_is_never_sent_what_it_would_cut():
    """Up to a million bytes an entry goes as it is; one more, and it is dead-lettered whole."""
    sink = datadog()
    room = 1_000_000 - len(encoded(sink, large(0)))  # type: ignore[arg-type]
    fits = encoded(sink, large(room))
    assert isinstance(fits, bytes)
    assert len(fits) == 1_000_000
    assert unsendable(sink, large(room + 1)).why.code == "entry_too_large"


def test_shortened_entry_points_to_the_whole():
    """A stand-in has the id, the place, who and what, and the whole's size and hash."""
    given_record = large(1_010_000)
    marked = unsendable(datadog(), given_record).marked
    assert marked is not None
    assert len(marked) < 10_000
    entry = parse(marked)
    whole = {key: value for key, value in GOOD.items() if key != "metadata"}
    assert entry["audit_id"] == ID
    assert entry["audit"] == {
        **whole,
        "shortened": "too large for this sink: whole in the dead-letter topic",
        "original_bytes": len(given_record.value or b""),
        "original_sha256": hashlib.sha256(given_record.value or b"").hexdigest(),
    }
    assert b"%r" % SECONDS in marked


def test_shortened_entry_leaves_out_what_is_long():
    """However long a field is, the stand-in fits."""
    marked = unsendable(datadog(), event(reason="r" * 1_010_000)).marked
    assert marked is not None
    assert "reason" not in parse(marked)["audit"]
    assert len(marked) < 10_000


@each_sink
def test_event_without_id_gets_the_rows(sink: Sink):
    """A derived id is the same in the database and at each sink."""
    given_record = event_without("id")
    row = decode(given_record)
    assert isinstance(row, Row)
    assert audit_id(entry_of(sink, given_record)) == row.id
