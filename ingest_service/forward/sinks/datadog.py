"""Datadog's log intake: an event beside Datadog's standard attributes, a request."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from ingest_service.events.record import Record
from ingest_service.forward.answers import Answer, Outcome, Why
from ingest_service.forward.ports import Acks, Encoded, Limits, Request, Secret
from ingest_service.forward.sinks import datadog_answers
from ingest_service.forward.sinks.alike import UnusualError, encode_alike, texts
from ingest_service.forward.sinks.choice import Choice
from ingest_service.forward.sinks.memo import Memo
from ingest_service.forward.sinks.origin import EventType, Metadata, Name, audit_ids, instance
from ingest_service.forward.sinks.outline import MALFORMED, Outline, json

_MAX_ENTRY_BYTES: Final = 1_000_000
_LIMITS: Final = Limits(max_entries=1000, max_bytes=4_500_000, max_entry_bytes=_MAX_ENTRY_BYTES)
_TOO_LARGE: Final = Why("entry_too_large", "Datadog would cut the event, and say nothing")

_OUTCOMES: Final = {"allow": "success", "deny": "failure"}
_STATUSES: Final = {"allow": "info", "deny": "warning"}

_OLDEST_MS: Final = 17 * 3_600_000
"""Datadog takes a timestamp of the last 18 hours; an event waits for an hour at most."""
_OLD: Final = b"event_timestamp"
"""What the time of an older event is called: it may not be named `timestamp`."""
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


def _user(who: str | None) -> bytes:
    return b'"usr":{"id":%b},' % json(who) if who else b""


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
        self._redact = choice.redact
        self._clock = clock
        self._constants = Memo(_constants_of(origin))
        self._place = Memo(_place)

    def encode(self, records: Sequence[Record]) -> Sequence[Encoded]:
        """Put the attributes beside each event's own bytes."""
        return encode_alike(records, self._encode_usual, self._encode_any)

    def _encode_usual(self, records: Sequence[Record]) -> list[Encoded]:
        """Write what is usual, step by step for all: 150,000 events pass here a second."""
        values = texts(records)
        if self._redact is not None:
            values = list(map(self._redact, values))
        events = list(map(_decode, values))
        times = [event.timestamp for event in events]
        if min(times) < _FIRST_SECOND or max(times) >= _LAST_SECOND:
            raise UnusualError
        ids = audit_ids(records, events)
        constants = [
            self._constants[event.event_type, event.decision, instance(event.metadata)]
            for event in events
        ]
        users = [_user(event.user_id or event.agent_id) for event in events]
        entries = self._join(records, zip(constants, users, values, ids, times, strict=True))
        if max(map(len, entries)) > _MAX_ENTRY_BYTES:
            raise UnusualError
        return self._choice.keep(events, entries)

    def _encode_any(self, record: Record) -> Encoded:
        return self._choice.entry(record, self._write, _MAX_ENTRY_BYTES, _TOO_LARGE)

    def _write(self, record: Record, event: Outline) -> bytes:
        constants = self._constants[event.event_type, event.decision, event.instance]
        parts = (constants, _user(event.who), event.event, event.audit_id, float(event.seconds))
        return self._join([record], [parts])[0]

    def _join(
        self,
        records: Sequence[Record],
        parts: Iterable[tuple[bytes, bytes, bytes, bytes, float]],
    ) -> list[bytes]:
        place = self._place[records[0].topic, records[0].partition]
        oldest_ms = self._clock() * 1000 - _OLDEST_MS
        return [
            _ENTRY
            % (
                constants,
                user,
                value,
                audit_id,
                b"timestamp" if (ms := round(seconds * 1000)) >= oldest_ms else _OLD,
                ms,
                place,
                record.offset,
            )
            for record, (constants, user, value, audit_id, seconds) in zip(
                records, parts, strict=True
            )
        ]

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
