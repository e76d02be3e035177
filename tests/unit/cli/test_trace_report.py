"""What `trace` shows a person may stand on any terminal."""

from __future__ import annotations

import datetime as dt
import json

from hypothesis import given
from hypothesis import strategies as st

from ingest_service.adapters.trace_reader import LedgerEntry, Reach, StoredQuarantine, StoredRow
from ingest_service.cli.trace_json import as_json
from ingest_service.cli.trace_report import as_text
from ingest_service.compliance.sighting import (
    AtSink,
    InKafka,
    Letter,
    Report,
    Sighting,
    SinkState,
    Standing,
)
from ingest_service.events.record import StoredRecord
from ingest_service.ledger import Entry, Stream

EVENT = (
    "user alice, server alice, tool alice, request alice, id 0190a3c2-7b1e-7c3d-8f2a-1b2c3d4e5f60"
)
AT = dt.datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=dt.UTC)
MS = int(AT.timestamp() * 1000)
STREAM = Stream(1, "gateway.audit.events", 3, 1)
ENTRY = Entry(1, 8, "records", 40, 50, 10, 0, 0, 1, "{}", b"d" * 32, b"p" * 32, b"h" * 32)


def row(text: str = "alice", **fields: object) -> StoredRow:
    values = {
        "id": "0190a3c2-7b1e-7c3d-8f2a-1b2c3d4e5f60", "event_type": "tool_invoke", "user_id": text,
        "agent_id": None, "server_name": text, "tool_name": text, "decision": "deny", "reason": text,
        "timestamp": AT - dt.timedelta(seconds=1), "gateway_request_id": text,
        "metadata": '{"secret": "hunter2"}', "created_at": AT + dt.timedelta(seconds=2),
        "stream_id": 1, "kafka_offset": 42,
    }  # fmt: skip
    return StoredRow(**values | fields)


def sighting(text: str = "alice", **fields: object) -> Sighting:
    values = {
        "stream": STREAM, "offset": 42, "standing": Standing.ROW, "row": row(text),
        "record": StoredRecord("gateway.audit.events", 3, 42, MS, b"k", b'{"secret": "hunter2"}'),
        "entry": LedgerEntry(ENTRY, None, AT), "reach": Reach(0, 90, 12),
        "kafka": InKafka(is_there=True, time_ms=MS, same=True),
    }  # fmt: skip
    return Sighting(**values | fields)


def test_timeline_has_each_station_with_its_delay():
    """Decided, Kafka, row, ledger, sinks, in this order."""
    sinks = [
        AtSink("datadog", SinkState.WAITING, 40),
        AtSink("splunk", SinkState.SENT_AGAIN, 99, Letter("splunk", "refused", 400, MS, True)),
    ]
    assert as_text(Report("3:42", [sighting(sinks=sinks)], False, [])).splitlines() == [
        "gateway.audit.events/3 offset 42: a row",
        f"  decided     2026-03-01 11:59:59.500Z  tool_invoke deny: {EVENT}",
        "  Kafka       2026-03-01 12:00:00.500Z (+1.000 s)  still there, byte for byte",
        "  row         2026-03-01 12:00:02.500Z (+3.000 s)  says what arrived",
        "  ledger      2026-03-01 12:00:00.500Z  records entry 8 of 12 (offsets 40-49)",
        "  datadog     waiting, 2 records before it (at 40)",
        "  splunk      2026-03-01 12:00:00.500Z  dead-lettered: refused (400), sent again by a replay",
    ]


@given(st.text(max_size=200))
def test_no_event_writes_on_the_terminal(text: str):
    """Escape sequences, line ends and hidden characters of an event are spelled out and cut."""
    seen = sighting(
        text,
        quarantine=StoredQuarantine(text, text, AT),
        entry=LedgerEntry(ENTRY, text, AT),
        sinks=[
            AtSink("splunk", SinkState.DEAD_LETTERED, 1, Letter("splunk", text, 400, MS, False))
        ],
        wrong=(text,),
    )
    shown = as_text(Report("x", [seen], False, []))
    assert all(each.isprintable() for line in shown.split("\n") for each in line)
    assert len(shown.split("\n")) == 8


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_kafka_time_can_be_shown(milliseconds: int):
    """A forged time is no reason to fail."""
    record = StoredRecord("t", 3, 42, milliseconds, None, None)
    report = Report("x", [sighting(record=record, row=None)], False, [])
    assert as_text(report)
    assert json.loads(as_json(report))


def test_what_an_event_says_stays_out():
    """Neither form shows metadata or the record's value: that is for --raw."""
    report = Report("x", [sighting()], False, [])
    assert "hunter2" not in as_text(report) + as_json(report)


def test_each_standing_has_its_words():
    """Whatever became of a record, the first line says it; what could not be asked is said last."""
    for standing in Standing:
        bare = Sighting(STREAM._replace(epoch=2), 42, standing)
        text = as_text(Report("x", [bare], True, ["Kafka: away"]))
        assert text.startswith("gateway.audit.events/3 offset 42 (epoch 2): ")
        assert text.endswith("these are the first 1\n\nnot asked: Kafka: away")
    assert as_text(Report("x\n", [], False, [])) == r"nothing is known of x\n"


def test_odd_places_are_told():
    """A duplicate names its row, a place of no stream says so, a sink that never began as well."""
    sinks = [AtSink("splunk", SinkState.NOT_BEGUN, None), AtSink("datadog", SinkState.PASSED, 43)]
    seen = sighting(
        standing=Standing.DUPLICATE, duplicate_of=(STREAM, 7), sinks=sinks,
        kafka=InKafka(is_there=False),
    )  # fmt: skip
    text = as_text(Report("x", [seen], False, []))
    assert "is that of offset 7, partition 3" in text
    assert "no longer there" in text
    assert "has not begun with this partition" in text
    assert "its forwarder is at 43" in text
    stray = Sighting(None, 5, Standing.UNKNOWN, row=row(), wrong=("nobody's",))
    assert as_text(Report("x", [stray], False, [])).startswith(
        "offset 5 of no stream that is known"
    )


def test_json_holds_every_station():
    """Numbers stay numbers, hashes are hexadecimal, times are ISO 8601."""
    seen = sighting(
        standing=Standing.DUPLICATE, duplicate_of=(STREAM, 7),
        quarantine=StoredQuarantine("empty", "publish an object", AT),
        sinks=[AtSink("splunk", SinkState.DEAD_LETTERED, 9, Letter("splunk", "r", 400, MS, False))],
    )  # fmt: skip
    report = json.loads(as_json(Report("x", [seen], False, ["why"])))
    [found] = report["found"]
    assert (report["good"], report["unasked"]) == (False, ["why"])
    assert found["duplicate_of"] == {"partition": 3, "epoch": 1, "offset": 7}
    assert found["ledger"]["hash"] == (b"h" * 32).hex()
    assert found["row"]["timestamp"] == "2026-03-01T11:59:59.500000+00:00"
    assert found["sinks"][0]["letter"]["reason"] == "r"
    assert (found["durable_offset"], found["kafka_time"]) == (
        90,
        "2026-03-01T12:00:00.500000+00:00",
    )
