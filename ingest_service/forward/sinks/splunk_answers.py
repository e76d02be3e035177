"""What Splunk's HTTP Event Collector answers, and what each answer means."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from ingest_service.forward.answers import (
    Accepted,
    Answer,
    Bisect,
    Isolate,
    Ours,
    Outcome,
    Retry,
    Split,
    Why,
    retry_after,
)
from ingest_service.forward.sinks.statuses import judge_status


class _Body(msgspec.Struct, rename={"number": "invalid-event-number", "ack_id": "ackId"}):
    code: int
    number: int | None = None
    ack_id: int | None = None


class _Reply(NamedTuple):
    """An answer to a request with so many events; `code` is None where the body is not HEC's."""

    events: int
    must_ack: bool
    after_seconds: float | None
    code: int | None = None
    number: int | None = None
    ack_id: int | None = None


_decode: Final = msgspec.json.Decoder(_Body).decode
_decode_acks: Final = msgspec.json.Decoder(dict[str, dict[str, bool]]).decode


def _accepted(reply: _Reply, why: Why) -> Outcome:
    if not reply.must_ack:
        return Accepted(slow_down=why is _FULL)
    if reply.ack_id is None or reply.ack_id < 0:
        return Ours(_NO_ACK)
    return Accepted(reply.ack_id, slow_down=why is _FULL)


def _retry(reply: _Reply, why: Why) -> Outcome:
    """Send again; when an event is named, those before it are indexed already."""
    number = reply.number or 0
    return Retry(why, reply.after_seconds, number if 0 <= number < reply.events else 0)


def _named(reply: _Reply, why: Why) -> Outcome:
    """Take out the event that is named: those before it are indexed, those after it are not."""
    if reply.number is None or not 0 <= reply.number < reply.events:
        return Bisect(why)
    return Isolate(reply.number, why, before_accepted=True)


def _named_or_too_large(reply: _Reply, why: Why) -> Outcome:
    """Take out the event that is named; Splunk Cloud names the first when all is too large."""
    return Split(why) if reply.number == 0 and reply.events > 1 else _named(reply, why)


def _split(_: _Reply, why: Why) -> Outcome:
    return Split(why)


def _ours(_: _Reply, why: Why) -> Outcome:
    return Ours(why)


_SET_IT: Final = "set INGEST_SPLUNK__TOKEN, or its file"
_FULL: Final = Why("nearly_full", "Splunk's queues are nearly full")
_NO_ACK: Final = Why(
    "ack_missing", "INGEST_SPLUNK__ACK is on and Splunk gave no ackId: enable it on the token"
)
_CHANNEL: Final = Why(
    "channel_refused", "Splunk refuses the request channel: does the load balancer lack stickiness?"
)
_TOKEN_REFUSED: Final = Why("token_refused", f"Splunk refuses the token: {_SET_IT}")
_FIELDS: Final = Why("bad_fields", "Splunk refuses the event's indexed fields")

_TABLE: Final[Mapping[tuple[int, int | None], tuple[Callable[[_Reply, Why], Outcome], Why]]] = {
    # HTTP, code of the body: what follows
    (200, 0): (_accepted, Why("accepted", "accepted")),
    (200, 24): (_accepted, _FULL),
    (200, 25): (_accepted, _FULL),
    (200, None): (_retry, Why("unreadable", "HTTP 200 without the collector's answer: cut short?")),
    (400, 5): (_ours, Why("no_data", "Splunk found no event in the request: a bug of ours")),
    (400, 6): (_named_or_too_large, Why("bad_format", "Splunk cannot read the event")),
    (400, 7): (_ours, Why("wrong_index", "the token may not write to INGEST_SPLUNK__INDEX")),
    (400, 10): (_ours, _CHANNEL),
    (400, 11): (_ours, _CHANNEL),
    (400, 12): (_named, Why("no_event", "Splunk misses the field event")),
    (400, 13): (_named, Why("blank_event", "Splunk finds the field event blank")),
    (400, 14): (_ours, Why("ack_disabled", "enable acknowledgement on the token, or unset __ACK")),
    (400, 15): (_named, _FIELDS),
    (400, 16): (_ours, Why("query_token", "Splunk takes the request for one with a query token")),
    (400, 28): (_ours, _CHANNEL),
    (401, 2): (_ours, Why("token_missing", f"Splunk misses the token: {_SET_IT}")),
    (401, 3): (_ours, _TOKEN_REFUSED),
    (401, None): (_ours, Why("http_401", f"something before Splunk asks for a token: {_SET_IT}")),
    (403, 1): (_ours, Why("token_disabled", f"the token is disabled: enable it, or {_SET_IT}")),
    (403, 4): (_ours, _TOKEN_REFUSED),
    (403, None): (_ours, Why("http_403", "something before Splunk, a proxy perhaps, refuses us")),
    (404, None): (_retry, Why("http_404", "no collector here: Splunk's maintenance, or a bad URL")),
    (413, None): (_split, Why("too_large", "Splunk refuses the size")),
    (415, None): (_ours, Why("http_415", "Splunk, or a proxy before it, does not take gzip")),
    (429, 26): (_retry, Why("queue_full", "Splunk's queue is full")),
    (429, 27): (_retry, Why("ack_channel_full", "Splunk's ack channel is full")),
    (500, 8): (_retry, Why("internal_error", "Splunk has an internal error")),
    (503, 9): (_retry, Why("busy", "Splunk is busy")),
    (503, 23): (_retry, Why("shutting_down", "Splunk is shutting down")),
}


def judge(answer: Answer, count: int, *, must_ack: bool) -> Outcome:
    """Say what an answer to a request with `count` events means."""
    reply = _read(answer, count, must_ack=must_ack)
    row = _TABLE.get((answer.status, reply.code)) or _TABLE.get((answer.status, None))
    if row is None:
        return judge_status(answer)
    react, why = row
    return react(reply, why)


def judge_acks(answer: Answer) -> frozenset[int] | Outcome:
    """Return the ids that are acknowledged, or what else the answer to a poll means."""
    if answer.status == 200:  # noqa: PLR2004 - as the document writes it
        try:
            acks = _decode_acks(answer.body)["acks"]
            return frozenset(int(number) for number, done in acks.items() if done)
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, ValueError):
            return Retry(Why("unreadable", "HTTP 200 without acknowledgements: cut short?"))
    outcome = judge(answer, 0, must_ack=False)
    return outcome if isinstance(outcome, Retry | Ours) else judge_status(answer)


def _read(answer: Answer, count: int, *, must_ack: bool) -> _Reply:
    """Read the body where it is HEC's; that of 413 and 415, and of every proxy, is HTML."""
    after_seconds = retry_after(answer.headers, answer.received_at)
    try:
        body = _decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Reply(count, must_ack, after_seconds)
    return _Reply(count, must_ack, after_seconds, body.code, body.number, body.ack_id)
