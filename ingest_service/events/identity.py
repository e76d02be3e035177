"""Audit ids: time-ordered UUIDs, so that index entries of neighbours are neighbours."""

import os
import time
from typing import Final
from uuid import UUID

_VERSION_AND_VARIANT: Final = (0x7 << 76) | (0b10 << 62)
_ENTROPY_MASK: Final = (0xFFF << 64) | ((1 << 62) - 1)
_MILLISECONDS_MASK: Final = (1 << 48) - 1


def shape_uuid7(milliseconds: int, entropy: bytes) -> str:
    """Return the UUIDv7 (RFC 9562) of a time and at least ten bytes of entropy, as text."""
    spread = int.from_bytes(entropy[:10], "big") & _ENTROPY_MASK
    number = ((milliseconds & _MILLISECONDS_MASK) << 80) | _VERSION_AND_VARIANT | spread
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def new_event_id() -> UUID:
    """Return a fresh audit id for an event that happens now."""
    return UUID(shape_uuid7(time.time_ns() // 1_000_000, os.urandom(10)))
