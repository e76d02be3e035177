"""What the settings keep from a sink: redacted values, events of a kind."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from given_events import GOOD, ID, TELEMETRY, event, record, spelled
from ingest_service.forward.ports import Filtered
from ingest_service.forward.sinks.redaction import redactor
from made_sinks import choice, datadog, encoded, entry_of, filtered, parse, splunk, unsendable

CANARY = "s3cret"


def both(redact: str = "", leave_out: str = ""):
    chosen = choice(redact, leave_out)
    return [splunk(chosen), datadog(chosen)]


def test_redacted_value_leaves_for_no_sink():
    """The value is gone, its key says so, and everything else is as it was."""
    metadata = {
        "client_ip": CANARY,
        "params": {"headers": [CANARY], "path": "/x"},
        "latency_ms": 1.50,
    }
    for sink in both("client_ip,params.headers"):
        entry = entry_of(sink, event(metadata=metadata))
        sent = entry.get("event") or entry["audit"]
        assert sent == {
            **GOOD,
            "metadata": {
                "client_ip": "[redacted]",
                "params": {"headers": "[redacted]", "path": "/x"},
                "latency_ms": 1.5,
            },
        }


@pytest.mark.parametrize(
    "metadata",
    [
        '{"a": {"b": "s3cret"}}',
        '{"a": {"b": {"c": "s3cret"}}}',
        '{"a": [{"b": "s3cret"}, {"b": ["s3cret"]}]}',
        '{"a": [[{"b": "s3cret"}]]}',
        '{"a": {"b": "s3cret", "b": 1}}',
        '{"a": {"b": "s3cret"}, "a": 1}',
        '{"\\u0061": {"\\u0062": "s3cret"}}',
        '{ "a" : { "b" : "s3cret" } }',
        '[{"a": {"b": "s3cret"}}]',
        '{"a": {"b": "s3cret"}}, "metadata": {}',
        '{"a": {"b": "s3cret"}}, "metadata": null',
    ],
)
def test_redaction_is_not_fooled(metadata: str):
    """Arrays, escapes, blanks, and a second key of the same name do not carry a value out."""
    for sink in both("a.b"):
        body = encoded(sink, spelled("metadata", metadata))
        assert isinstance(body, bytes)
        assert CANARY.encode() not in body
        parse(body)


@pytest.mark.parametrize(
    "value",
    [
        b'{"metadata":{"a":"s3cret"}',
        b"\xff s3cret",
        b"s3cret",
        b'["s3cret"]',
        b'{"metadata":' + b"[" * 9000,
    ],
)
def test_malformed_record_is_withheld_when_something_is_redacted(value: bytes):
    """Nothing can be found in what cannot be read, so nothing of it leaves; a hash stands for it."""
    for sink in both("a"):
        body = encoded(sink, record(value))
        assert isinstance(body, bytes)
        assert CANARY.encode() not in body
        entry = parse(body)
        sent = entry.get("event") or entry["audit"]
        assert (sent["malformed_encoding"], sent["original_bytes"]) == ("withheld", len(value))


def test_redacted_instance_is_not_the_host():
    """What is redacted is not said in another place."""
    for sink in both("gateway.instance"):
        body = encoded(sink, event(metadata={"gateway": {"instance": CANARY}}))
        assert isinstance(body, bytes)
        assert CANARY.encode() not in body
        odd = encoded(sink, event(id=ID.upper(), metadata={"gateway": {"instance": CANARY}}))
        assert isinstance(odd, bytes)
        assert CANARY.encode() not in odd


def test_shortened_entry_is_redacted_too():
    """The stand-in of an event that is too large shows no metadata."""
    sink = datadog(choice("a"))
    given_record = event(metadata={"a": CANARY, "b": "x" * 1_010_000})
    assert CANARY.encode() not in (unsendable(sink, given_record).marked or b"")


def test_redaction_brings_an_event_under_the_limit():
    """What no sink gets does not count."""
    body = encoded(datadog(choice("a")), event(metadata={"a": "x" * 1_010_000}))
    assert isinstance(body, bytes)


@given(
    paths=st.lists(
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple), min_size=1, max_size=3
    ),
    metadata=st.recursive(
        st.integers() | st.text(max_size=3),
        lambda inner: (
            st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)
            | st.lists(inner, max_size=2)
        ),
        max_leaves=8,
    ),
)
def test_redaction_takes_the_paths_and_nothing_else(paths: list[tuple[str, ...]], metadata: object):
    """Compared with the plainest way to say it: walk the value, replace what the path names."""

    def walk(value: object, path: tuple[str, ...]) -> object:
        if isinstance(value, list):
            return [walk(each, path) for each in value]
        if not isinstance(value, dict) or path[0] not in value:
            return value
        below = value[path[0]]
        return {**value, path[0]: walk(below, path[1:]) if path[1:] else "[redacted]"}

    expected: object = metadata
    for path in sorted(paths, key=len):
        expected = walk(expected, path)
    redact = redactor(paths)
    assert redact is not None
    assert json.loads(redact(json.dumps({"metadata": metadata}).encode())) == {"metadata": expected}


def test_without_paths_there_is_nothing_to_do():
    """The usual case costs nothing."""
    assert redactor([]) is None


@pytest.mark.parametrize(
    ("leave_out", "left"),
    [
        ("tool_invoke", True),
        ("tool_invoke:allow", True),
        ("discovery,tool_invoke:allow", True),
        ("tool_invoke:deny", False),
        ("discovery", False),
    ],
)
def test_events_are_left_out_by_type_and_decision(leave_out: str, left: bool):
    """The rule that says so is counted; an odd spelling of the event changes nothing."""
    for sink in both(leave_out=leave_out):
        for given_record in (event(), event(id=ID.upper()), event(id=None)):
            assert filtered(sink, given_record) == left


def test_filtered_event_names_its_rule():
    """The type's rule comes before the decision's."""
    [sink, _] = both(leave_out="tool_invoke,tool_invoke:allow")
    assert encoded(sink, event()) == Filtered("tool_invoke")
    [sink, _] = both(leave_out="tool_invoke:allow")
    assert encoded(sink, event()) == Filtered("tool_invoke:allow")


def test_telemetry_may_be_left_out():
    """A heartbeat without a decision is left out by its type."""
    for sink in both(leave_out="telemetry"):
        assert filtered(sink, record(json.dumps(TELEMETRY).encode()))
        assert not filtered(sink, event())


def test_malformed_record_is_never_left_out():
    """Nobody hides a record from a sink by breaking it."""
    for sink in both(leave_out="tool_invoke,malformed"):
        assert not filtered(sink, record(b'{"event_type":"tool_invoke"'))
