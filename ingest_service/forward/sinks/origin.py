"""Where an event comes from, as sinks name it: its type, its gateway."""

from typing import Annotated

import msgspec

from ingest_service.events.v1.bounds import MAX_EVENT_TYPE_CHARACTERS, MAX_NAME_CHARACTERS

EventType = Annotated[str, msgspec.Meta(max_length=MAX_EVENT_TYPE_CHARACTERS)]
Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARACTERS)]
_HostName = Annotated[str, msgspec.Meta(max_length=255)]


class Gateway(msgspec.Struct, gc=False):
    """What `metadata.gateway` says."""

    instance: _HostName | None = None


class Metadata(msgspec.Struct, gc=False):
    """What of `metadata` a sink is told apart."""

    gateway: Gateway | None = None
