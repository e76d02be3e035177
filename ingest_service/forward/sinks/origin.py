"""Where an event comes from, as sinks name it: its id, its type, its gateway."""

from collections.abc import Sequence
from typing import Annotated, Final, Protocol

import msgspec

from ingest_service.events.record import Record
from ingest_service.events.v1.bounds import MAX_EVENT_TYPE_CHARACTERS, MAX_NAME_CHARACTERS
from ingest_service.events.v1.identity import derive_id
from ingest_service.forward.sinks.alike import UnusualError

EventType = Annotated[str, msgspec.Meta(max_length=MAX_EVENT_TYPE_CHARACTERS)]
Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARACTERS)]
_HostName = Annotated[str, msgspec.Meta(max_length=255)]


class Gateway(msgspec.Struct, gc=False):
    """What `metadata.gateway` says."""

    instance: _HostName | None = None


class Metadata(msgspec.Struct, gc=False):
    """What of `metadata` a sink is told apart."""

    gateway: Gateway | None = None


class Identified(Protocol):
    """What was read of an ordinary event."""

    @property
    def id(self) -> str | None:
        """The audit id that its publisher gave it."""
        ...


_HEX_CLASSES: Final = bytes(
    ord("h") if byte in b"0123456789abcdef" else ord("-") if byte == ord("-") else 0
    for byte in range(256)
)
_UUID_CLASSES: Final = b"hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh"


def audit_ids(records: Sequence[Record], events: Sequence[Identified]) -> list[bytes]:
    """Return each event's id, written as the database keeps it; raise `UnusualError` otherwise."""
    ids = [
        (event.id or derive_id(record)).encode()
        for record, event in zip(records, events, strict=True)
    ]
    if any(each.translate(_HEX_CLASSES) != _UUID_CLASSES for each in ids):
        raise UnusualError
    return ids


def instance(metadata: Metadata | None) -> str | None:
    """Return the name of the gateway that sent the event, if it says so."""
    gateway = metadata.gateway if metadata is not None else None
    return gateway.instance if gateway is not None else None
