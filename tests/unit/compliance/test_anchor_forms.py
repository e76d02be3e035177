"""An anchor says the same in every form, and nothing in it can be changed without its key."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.compliance.anchors import (
    AnchorUnreadableError,
    Head,
    SignedAnchor,
    event,
    is_signed_by,
    line,
    read_line,
    sign,
)
from ingest_service.events.decode import CONTRACT, decode
from ingest_service.events.record import Limits, Row, StoredRecord
from ingest_service.ledger import Stream

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
HEADS = st.builds(
    Head,
    st.builds(
        Stream,
        st.just(1),
        st.text("abcxyz._-019", min_size=1, max_size=249),
        st.integers(0, 2**31 - 1),
        st.integers(1, 2**31 - 1),
    ),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
)
TIMES = st.integers(0, 253_402_300_799_999)


@given(HEADS, TIMES)
def test_line_event_and_envelope_give_the_anchor_back(head: Head, at_ms: int):
    """By itself, in its audit event, and in what a SIEM puts around that: the same anchor."""
    signed = sign(head, at_ms, KEY)
    assert line(signed).count(b"\n") == 1
    assert read_line(line(signed)) == signed
    assert read_line(event(signed)) == signed
    assert read_line(b'{"time": 1, "event": %s}' % event(signed)) == signed
    assert is_signed_by(signed, KEY.public_key())


@given(HEADS, TIMES, st.data())
def test_no_field_can_be_changed(head: Head, at_ms: int, data: st.DataObject):
    """Whatever an anchor says is under its signature."""
    signed = sign(head, at_ms, KEY)
    other = sign(data.draw(HEADS), data.draw(TIMES), KEY).anchor
    name = data.draw(st.sampled_from(signed.anchor._fields))
    changed = signed.anchor._replace(**{name: getattr(other, name)})
    forged = SignedAnchor(changed, signed.key_name, signed.signature)
    assert is_signed_by(forged, KEY.public_key()) == (changed == signed.anchor)


def test_another_key_vouches_for_nothing():
    """A signature is one key's."""
    signed = sign(Head(Stream(1, "t", 0, 1), 5, b"d" * 32), 0, KEY)
    assert not is_signed_by(signed, Ed25519PrivateKey.generate().public_key())


@given(HEADS, st.integers(1_000_000_000_000, 2_000_000_000_000))
def test_its_event_becomes_a_row(head: Head, at_ms: int):
    """The persister takes the event as telemetry, which is no decision, under a stable id."""
    value = event(sign(head, at_ms, KEY))
    row = decode(StoredRecord("t", 0, 0, at_ms + 5, None, value), CONTRACT, Limits())
    assert isinstance(row, Row)
    assert (row.event_type, row.decision) == ("telemetry", None)
    assert value == event(sign(head, at_ms, KEY))


GOOD = json.loads(line(sign(Head(Stream(1, "t", 0, 1), 5, b"d" * 32), 0, KEY)))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b'{"event": {}}',
        b'{"metadata": {"telemetry": {}}}',
        json.dumps(GOOD | {"anchor": 2}).encode(),
        json.dumps(GOOD | {"digest": "xx"}).encode(),
        json.dumps(GOOD | {"digest": "ab"}).encode(),
        json.dumps(GOOD | {"at": "yesterday"}).encode(),
        json.dumps(GOOD | {"at": "2025-01-01T00:00:00"}).encode(),
        json.dumps(GOOD | {"signature": "&"}).encode(),
        json.dumps(GOOD | {"partition": "0"}).encode(),
        json.dumps(GOOD)[:-20].encode(),
    ],
)
def test_what_is_no_anchor_is_said_to_be_none(text: bytes):
    """Whatever stands in a line: one error of ours."""
    with pytest.raises(AnchorUnreadableError):
        read_line(text)
