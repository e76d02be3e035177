"""Datadog's log intake: an event beside Datadog's standard attributes, a request."""

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from ingest_service.events.record import Record
from ingest_service.events.v1.identity import derive_id
from ingest_service.forward.answers import Answer, Outcome, Why
from ingest_service.forward.ports import Acks, Filtered, Limits, Request, Secret, Unsendable
from ingest_service.forward.sinks import datadog_answers
from ingest_service.forward.sinks.choice import Choice
from ingest_service.forward.sinks.memo import Memo
from ingest_service.forward.sinks.origin import EventType, Metadata, Name
from ingest_service.forward.sinks.outline import (
    HEX_CLASSES,
    MALFORMED,
    UUID_CLASSES,
    Outline,
    json,
)

_MAX_ENTRY_BYTES: Final = 1_000_000
_LIMITS: Final = Limits(max_entries=1000, max_bytes=4_500_000, max_entry_bytes=_MAX_ENTRY_BYTES)
_TOO_LARGE: Final = Why("entry_too_large", "Datadog would cut the event, and say nothing")

_OUTCOMES: Final = {"allow": "success", "deny": "failure"}
_STATUSES: Final = {"allow": "info", "deny": "warning"}

_OLDEST_MS: Final = 17 * 3_600_000
"""Datadog takes a timestamp of the last 18 hours; an event waits for an hour at most."""
_FIRST_SECOND: Final = 1e9
_LAST_SECOND: Final = 2.0**32

# The event goes in as an attribute, not as the text of `message`: its own `timestamp`, in seconds,
# would be taken for the log's, in milliseconds, and put it into January 1970.
_ENTRY: Final = b'{%b,%b"audit":%b,"audit_id":"%b","%b":%d,"kafka":{%b,"offset":%d}}'


class _Ordinary(msgspec.Struct, gc=False):
    event_type: EventType
    timestamp: float
    id: str | None = None
    user_id: Name | None = None
    agent_id: Name | None = None
    decision: Literal["allow", "deny"] | None = None
    metadata: Metadata | None = None


_decode: Final = msgspec.json.Decoder(_Ordinary).decode


def _place(topic: str, partition: int) -> bytes:
    return b'"topic":%b,"partition":%d' % (json(topic), partition)


class Origin(NamedTuple):
    """What Datadog is told of every event alike."""

    hostname: str
    service: str
    tags: str
    source: str = "sark"


class Datadog:
    """The intake at one address, with a key that is asked for at each request."""

    name: Final = "datadog"
    limits: Final = _LIMITS
    acks: Final[Acks | None] = None

    def __init__(
        self,
        url: str,
        api_key: Secret,
        origin: Origin,
        choice: Choice,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._url = f"{url}/api/v2/logs"
        self._api_key = api_key
        self._choice = choice
        self._redact, self._left_out = choice
        self._clock = clock
        self._constants = Memo(_constants_of(origin))
        self._place = Memo(_place)

    def encode(self, record: Record) -> bytes | Filtered | Unsendable:
        """Put the attributes beside the event's own bytes.

        Flat on purpose, and only for what is usual: this is called 150,000 times a second.
        """
        value = record.value
        try:
            if not value:
                return self._write_oddly(record)
            if not value.isascii():
                value.decode()  # the parser passes over what it does not read
            if self._redact is not None:
                value = self._redact(value)
            event = _decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._write_oddly(record)
        audit_id = (event.id or derive_id(record)).encode()
        if not _FIRST_SECOND <= event.timestamp < _LAST_SECOND or (
            audit_id.translate(HEX_CLASSES) != UUID_CLASSES
        ):
            return self._write_oddly(record)
        if self._left_out and (rule := self._choice.rule(event.event_type, event.decision)):
            return Filtered(rule)
        milliseconds = round(event.timestamp * 1000)
        who = event.user_id or event.agent_id
        metadata = event.metadata
        gateway = metadata.gateway if metadata is not None else None
        entry = _ENTRY % (
            self._constants[
                event.event_type, event.decision, gateway.instance if gateway is not None else None
            ],
            b'"usr":{"id":%b},' % json(who) if who else b"",
            value,
            audit_id,
            self._time_of(milliseconds),
            milliseconds,
            self._place[record.topic, record.partition],
            record.offset,
        )
        return entry if len(entry) <= _MAX_ENTRY_BYTES else self._write_oddly(record)

    def _time_of(self, milliseconds: int) -> bytes:
        """Name the event's time: what is too old for Datadog may not be called `timestamp`."""
        timely = milliseconds >= self._clock() * 1000 - _OLDEST_MS
        return b"timestamp" if timely else b"event_timestamp"

    def _write_oddly(self, record: Record) -> bytes | Filtered | Unsendable:
        return self._choice.entry(record, self._write, _MAX_ENTRY_BYTES, _TOO_LARGE)

    def _write(self, record: Record, event: Outline) -> bytes:
        milliseconds = round(float(event.seconds) * 1000)
        return _ENTRY % (
            self._constants[event.event_type, event.decision, event.instance],
            b'"usr":{"id":%b},' % json(event.who) if event.who else b"",
            event.event,
            event.audit_id,
            self._time_of(milliseconds),
            milliseconds,
            self._place[record.topic, record.partition],
            record.offset,
        )

    def request(self, bodies: Sequence[bytes]) -> Request:
        """Return the POST of these entries, with the key as it is now."""
        headers = {"dd-api-key": self._api_key(), "content-type": "application/json"}
        return Request(self._url, headers, b"[" + b",".join(bodies) + b"]")

    def judge(self, answer: Answer, count: int) -> Outcome:
        """Say what an answer means, by the table in `datadog_answers`."""
        del count  # Datadog names no event
        return datadog_answers.judge(answer)


def _constants_of(origin: Origin) -> Callable[[str | None, str | None, str | None], bytes]:
    """Return what writes the members that vary little between events."""

    def constants(event_type: str | None, decision: str | None, instance: str | None) -> bytes:
        evt = {"name": event_type or MALFORMED}
        if decision is not None:
            evt["outcome"] = _OUTCOMES[decision]
        lost = "error" if event_type in {None, MALFORMED} else "info"
        attributes = {
            "evt": evt,
            "status": _STATUSES.get(decision or "", lost),
            "ddsource": origin.source,
            "service": origin.service,
            "ddtags": origin.tags,
            "hostname": instance or origin.hostname,
            "message": " ".join(filter(None, (event_type or MALFORMED, decision))),
        }
        return json(attributes)[1:-1]

    return constants
