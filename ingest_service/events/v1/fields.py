"""The event's own fields, one judgement each; what is wrong is `Refused` by name."""

import re
from collections.abc import Mapping
from typing import Final

from ingest_service.events.rejection import Reason
from ingest_service.events.v1.bounds import (
    EVENT_TYPE_PATTERN,
    MAX_EVENT_TYPE_CHARACTERS,
    MAX_EXPONENT,
    MAX_NAME_CHARACTERS,
    MAX_NUMBER_CHARACTERS,
    TELEMETRY,
)
from ingest_service.events.v1.moment import to_microseconds
from ingest_service.events.v1.parsing import accept_literal, decode_text
from ingest_service.events.v1.refusal import Refused

Members = Mapping[str, bytes]
"""The members of the event, each as JSON text."""

FIELDS: Final = frozenset(
    {
        "id",
        "event_type",
        "user_id",
        "agent_id",
        "server_name",
        "tool_name",
        "decision",
        "reason",
        "timestamp",
        "gateway_request_id",
        "metadata",
    }
)

NULL: Final = (None, b"null")
"""For an optional field, absent and null mean the same."""

_EVENT_TYPE: Final = re.compile(EVENT_TYPE_PATTERN)
_KINDS: Final = {
    b'"': "a string",
    b"{": "an object",
    b"[": "an array",
    b"t": "a boolean",
    b"f": "a boolean",
    b"n": "null",
}
_NUMBER: Final = "a number"


def kind_of(member: bytes) -> str:
    """Name the JSON type of a member."""
    return _KINDS.get(member[:1], _NUMBER)


def refuse_type(name: str, expected: str, member: bytes) -> Refused:
    """Say which type a field needs and which it has, never what stands in it."""
    return Refused(Reason.WRONG_TYPE, f"{name} must be {expected}, and is {kind_of(member)}")


def refuse_number(place: str) -> Refused:
    """Say that a number literal is more than the database could give back."""
    return Refused(
        Reason.NUMBER_OUT_OF_RANGE,
        f"{place} has a number of more than {MAX_NUMBER_CHARACTERS} characters or an exponent"
        f" beyond {MAX_EXPONENT}: send it as a string",
    )


def require(members: Members, name: str) -> bytes:
    """Return a member that the contract requires."""
    member = members.get(name)
    if member is None:
        raise Refused(Reason.MISSING_FIELD, f"{name} is missing: every event needs it")
    return member


def accept_text(name: str, member: bytes, max_characters: int | None = None) -> str:
    """Return a string, at most that long (characters are Unicode code points)."""
    if member[:1] != b'"':
        raise refuse_type(name, "a string", member)
    text = decode_text(member)
    if max_characters is not None and len(text) > max_characters:
        raise Refused(
            Reason.TOO_LONG, f"{name} is longer than {max_characters} characters: shorten it"
        )
    return text


def accept_name(members: Members, name: str) -> str | None:
    """Return a bounded string, or None when it is null or absent."""
    member = members.get(name)
    if member is None or member == b"null":
        return None
    if member[:1] != b'"':
        raise refuse_type(name, "a string or null", member)
    return accept_text(name, member, MAX_NAME_CHARACTERS)


def accept_request_id(members: Members) -> str:
    """Return the gateway's id of the request, which ties events of one request together."""
    name = "gateway_request_id"
    return accept_text(name, require(members, name), MAX_NAME_CHARACTERS)


def is_event_type(text: str) -> bool:
    """Tell whether a name can be an event type: any lower-case one, known today or not."""
    return _EVENT_TYPE.fullmatch(text) is not None


def accept_event_type(members: Members) -> str:
    """Return the event's type."""
    text = accept_text("event_type", require(members, "event_type"), MAX_EVENT_TYPE_CHARACTERS)
    if not is_event_type(text):
        raise Refused(
            Reason.BAD_EVENT_TYPE,
            "event_type must begin with a lower-case letter and go on with lower-case letters,"
            " digits, '_', '.' or '-'",
        )
    return text


def accept_decision(members: Members, event_type: str) -> str | None:
    """Return `allow` or `deny`; None for telemetry, which decides nothing."""
    if event_type == TELEMETRY:
        if members.get("decision") not in NULL:
            raise Refused(
                Reason.BAD_DECISION,
                "an event of type telemetry has no decision: leave it out or send null",
            )
        return None
    member = require(members, "decision")
    text = decode_text(member) if member[:1] == b'"' else None
    if text not in {"allow", "deny"}:
        raise Refused(Reason.BAD_DECISION, "decision must be allow or deny")
    return text


def accept_reason(members: Members, event_type: str) -> str:
    """Return the decision's reason; telemetry needs none."""
    if event_type == TELEMETRY and members.get("reason") in NULL:
        return ""
    return accept_text("reason", require(members, "reason"))


def accept_timestamp(members: Members) -> int:
    """Return the event's own time in microseconds since 1970."""
    return read_timestamp(require(members, "timestamp"))


def read_timestamp(member: bytes) -> int:
    """Return what a JSON number of Unix seconds is in microseconds."""
    if kind_of(member) != _NUMBER:
        raise refuse_type("timestamp", "a number of Unix seconds", member)
    try:
        literal = accept_literal(member.decode())
    except ValueError:
        raise refuse_number("timestamp") from None
    return to_microseconds(literal)
