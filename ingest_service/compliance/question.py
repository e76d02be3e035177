"""What somebody wants traced: an audit id, a request id or a place, by its form. Pure."""

import re
from typing import NamedTuple
from uuid import UUID

_PLACE = re.compile(r"(\d{1,9}):(\d{1,18})", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


class Question(NamedTuple):
    """What was asked. Every text may be a request id as well: gateways choose those freely."""

    text: str
    id: UUID | None
    place: tuple[int, int] | None


def question(text: str) -> Question:
    """Return what a text may mean: an audit id, a (partition, offset), always a request id."""
    place = _PLACE.fullmatch(text)
    return Question(
        text,
        UUID(text) if _UUID.fullmatch(text) else None,
        (int(place[1]), int(place[2])) if place else None,
    )
