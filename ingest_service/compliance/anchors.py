"""Anchors: a stream's durable offset and digest, signed. Pure; `docs/anchors.md` is the format.

A digest stands for every record before its offset, and does not depend on how batches were cut.
So one anchor covers the whole stream up to it, an honest failover keeps every anchor true, and
whoever rewrites history would have to sign it anew.
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64Error
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ingest_service.events.identity import shape_uuid7
from ingest_service.events.v1.bounds import TELEMETRY
from ingest_service.ledger import Stream

VERSION = 1

_PURPOSE = "gateway-audit-anchor"
_DIGEST_BYTES = 32
_KEY_NAME_CHARACTERS = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_encode = msgspec.msgpack.Encoder().encode


class AnchorUnreadableError(ValueError):
    """A line is no anchor."""


class Anchor(NamedTuple):
    """Before `next_offset` the stream's records have this digest; so it was at this time (ms)."""

    topic: str
    partition: int
    epoch: int
    next_offset: int
    digest: bytes
    at_ms: int

    @property
    def stream_name(self) -> tuple[str, int, int]:
        """The stream without a database's number for it."""
        return self.topic, self.partition, self.epoch


class SignedAnchor(NamedTuple):
    """An anchor, which key signed it, and the signature."""

    anchor: Anchor
    key_name: str
    signature: bytes


class Head(NamedTuple):
    """Where a stream ends."""

    stream: Stream
    next_offset: int
    digest: bytes


def key_name(key: Ed25519PublicKey) -> str:
    """Return what an anchor calls a key: the beginning of the SHA-256 of its 32 bytes."""
    return sha256(key.public_bytes_raw()).hexdigest()[:_KEY_NAME_CHARACTERS]


def sign(head: Head, at_ms: int, key: Ed25519PrivateKey) -> SignedAnchor:
    """Return the anchor of a head."""
    stream = head.stream
    anchor = Anchor(
        *(stream.topic, stream.partition, stream.epoch), head.next_offset, head.digest, at_ms
    )
    return SignedAnchor(anchor, key_name(key.public_key()), key.sign(_signed_bytes(anchor)))


def is_signed_by(signed: SignedAnchor, key: Ed25519PublicKey) -> bool:
    """Tell whether the signature is this key's."""
    try:
        key.verify(signed.signature, _signed_bytes(signed.anchor))
    except InvalidSignature:
        return False
    return True


def _signed_bytes(anchor: Anchor) -> bytes:
    """Return what is signed: MessagePack of the purpose, the version, and every field."""
    return _encode((_PURPOSE, VERSION, *anchor))


# --- as text -------------------------------------------------------------------------------------


class _Line(msgspec.Struct):
    """An anchor as one JSON object."""

    anchor: int
    topic: str
    partition: int
    epoch: int
    next_offset: int
    digest: str
    at: str
    key: str
    signature: str


class _Telemetry(msgspec.Struct):
    anchor: _Line | None = None


class _Metadata(msgspec.Struct):
    telemetry: _Telemetry | None = None


class _Event(msgspec.Struct):
    """An audit event that carries an anchor, as a topic or a SIEM gives it back."""

    metadata: _Metadata | None = None


class _Envelope(msgspec.Struct):
    """Splunk's or Datadog's own object around such an event."""

    event: _Event | None = None


def line(signed: SignedAnchor) -> bytes:
    """Return an anchor as a line of JSON."""
    return msgspec.json.encode(_fields(signed)) + b"\n"


def event(signed: SignedAnchor) -> bytes:
    """Return the audit event that carries an anchor: telemetry, which decides nothing."""
    anchor = signed.anchor
    return msgspec.json.encode(
        {
            "id": shape_uuid7(anchor.at_ms, signed.signature),
            "event_type": TELEMETRY,
            "reason": "ledger anchor",
            "timestamp": anchor.at_ms / 1000,
            "gateway_request_id": f"anchor-{anchor.topic}-{anchor.partition}",
            "metadata": {"telemetry": {"anchor": _fields(signed)}},
        }
    )


def read_line(text: bytes) -> SignedAnchor:
    """Return the anchor that a line holds, by itself or in its event; the signature is not judged.

    Raises `AnchorUnreadableError`.
    """
    try:
        found = _found(text)
        anchor = Anchor(
            *(found.topic, found.partition, found.epoch, found.next_offset),
            bytes.fromhex(found.digest),
            (datetime.fromisoformat(found.at) - _EPOCH) // timedelta(milliseconds=1),
        )
        signed = SignedAnchor(anchor, found.key, b64decode(found.signature, validate=True))
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, NotBase64Error) as exc:
        raise AnchorUnreadableError("is no anchor") from exc
    if found.anchor != VERSION or len(anchor.digest) != _DIGEST_BYTES:
        raise AnchorUnreadableError("is an anchor of another version")
    return signed


def _found(text: bytes) -> _Line:
    try:
        return msgspec.json.decode(text, type=_Line)
    except msgspec.ValidationError:
        pass
    for whole in (
        msgspec.json.decode(text, type=_Envelope).event,
        msgspec.json.decode(text, type=_Event),
    ):
        if whole and whole.metadata and whole.metadata.telemetry:
            carried = whole.metadata.telemetry.anchor
            if carried is not None:
                return carried
    raise AnchorUnreadableError("carries no anchor")


def _fields(signed: SignedAnchor) -> dict[str, Any]:
    anchor = signed.anchor
    at = _EPOCH + timedelta(milliseconds=anchor.at_ms)
    return {
        "anchor": VERSION,
        "topic": anchor.topic,
        "partition": anchor.partition,
        "epoch": anchor.epoch,
        "next_offset": anchor.next_offset,
        "digest": anchor.digest.hex(),
        "at": at.isoformat(timespec="milliseconds"),
        "key": signed.key_name,
        "signature": b64encode(signed.signature).decode(),
    }
