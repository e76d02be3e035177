"""The definition of contract 1: every rule, in the order in which it is judged.

`ordinary` is a shorter way to the same answers; where the two differ, `ordinary` is wrong.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from ingest_service.events.record import Limits, Record, Row
from ingest_service.events.rejection import Reason, Rejection
from ingest_service.events.v1 import fields
from ingest_service.events.v1.bounds import MAX_DEPTH, MAX_VALUE_BYTES
from ingest_service.events.v1.identity import accept_id, derive_id
from ingest_service.events.v1.metadata import (
    accept_metadata,
    accept_unknown,
    count_merged_keys,
    join_metadata,
)
from ingest_service.events.v1.moment import judge_moment
from ingest_service.events.v1.parsing import decode_anything, decode_members
from ingest_service.events.v1.refusal import Refused
from ingest_service.events.v1.structure import is_too_deep, replace_nul

_NOT_JSON: Final = "the value is not valid JSON (RFC 8259): send one JSON object and nothing else"


def judge(record: Record, limits: Limits) -> Row | Rejection:
    """Return the row that this record is under contract 1, or why it is none."""
    try:
        sent = _accept_bytes(record.value)
        text, nul_replaced = replace_nul(sent) if rb"\u0000" in sent else (sent, 0)
        members = _accept_object(text)
        changes: dict[str, int] = {}
        if nul_replaced:
            changes = {"nul_replaced": nul_replaced}
            if merged := count_merged_keys(sent):
                changes["duplicate_keys"] = merged
        return _judge_members(record, limits, members, changes)
    except Refused as refused:
        return refused.rejection
    except msgspec.DecodeError:
        return Rejection(Reason.NOT_JSON, _NOT_JSON)


def _accept_bytes(value: bytes | None) -> bytes:
    if not value:
        raise Refused(Reason.EMPTY, "the value is empty: send one JSON object")
    if len(value) > MAX_VALUE_BYTES:
        raise Refused(
            Reason.TOO_LARGE,
            f"the value is larger than {MAX_VALUE_BYTES:,} bytes: shorten the largest of metadata",
        )
    try:
        value.decode()
    except UnicodeDecodeError:
        raise Refused(Reason.NOT_UTF8, "the value is not UTF-8: encode the JSON as UTF-8") from None
    if is_too_deep(value):
        raise Refused(
            Reason.TOO_DEEP,
            f"objects and arrays nest deeper than {MAX_DEPTH}: send what is inside as a string",
        )
    return value


def _accept_object(text: bytes) -> dict[str, bytes]:
    try:
        return decode_members(text)
    except msgspec.ValidationError:
        pass  # not an object, or not even JSON after its first character
    try:
        decode_anything(text)
    except msgspec.ValidationError:
        pass  # a number out of range, which matters less than what surrounds it
    raise Refused(Reason.NOT_AN_OBJECT, "the value is JSON but no object: send one JSON object")


def _judge_members(
    record: Record, limits: Limits, members: fields.Members, changes: dict[str, int]
) -> Row:
    event_type = fields.accept_event_type(members)
    decision = fields.accept_decision(members, event_type)
    reason = fields.accept_reason(members, event_type)
    timestamp_us = judge_moment(
        fields.accept_timestamp(members), record.timestamp, limits.max_age_seconds
    )
    return Row(
        id=_judge_id(record, members),
        event_type=event_type,
        user_id=fields.accept_name(members, "user_id"),
        agent_id=fields.accept_name(members, "agent_id"),
        server_name=fields.accept_name(members, "server_name"),
        tool_name=fields.accept_name(members, "tool_name"),
        decision=decision,
        reason=reason,
        timestamp_us=timestamp_us,
        gateway_request_id=fields.accept_request_id(members),
        metadata=join_metadata(accept_metadata(members), _judge_unknown(members), changes),
        kafka_offset=record.offset,
    )


def _judge_id(record: Record, members: fields.Members) -> str:
    member = members.get("id")
    if member is None or member == b"null":
        return derive_id(record)
    return accept_id(fields.accept_text("id", member))


def _judge_unknown(members: fields.Members) -> Mapping[str, bytes]:
    known = fields.FIELDS
    return accept_unknown({name: text for name, text in members.items() if name not in known})
