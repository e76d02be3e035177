"""Splunk's HTTP Event Collector: an event in its envelope, a request, acknowledgements."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Raw

from ingest_service.events.record import Record
from ingest_service.forward.answers import Answer, Outcome, Why
from ingest_service.forward.ports import Encoded, Limits, Request, Secret
from ingest_service.forward.sinks import splunk_answers
from ingest_service.forward.sinks.alike import UnusualError, encode_alike, texts
from ingest_service.forward.sinks.choice import Choice
from ingest_service.forward.sinks.memo import Memo
from ingest_service.forward.sinks.origin import EventType, Metadata, audit_ids, instance
from ingest_service.forward.sinks.outline import Outline, json

_MAX_ENTRY_BYTES: Final = 5_000_000
_LIMITS: Final = Limits(max_entries=10_000, max_bytes=1_048_576, max_entry_bytes=_MAX_ENTRY_BYTES)
_TOO_LARGE: Final = Why("entry_too_large", "the event is larger than Splunk's maxEventSize")

# The words of CIM's Authentication model: other words are in none of its reports.
_ACTIONS: Final = {"allow": "success", "deny": "failure"}
# Each a time from 2001 to 2286, in ten digits and perhaps a fraction, without an exponent.
_are_seconds: Final = re.compile(rb"(?:\d{10}(?:\.\d+)?,)+").fullmatch

# Constants in a row, and what varies little beside them: each place where they are broken costs
# five bytes of gzip an event, and an index of `user` or `dest` would cost ten per cent of the wire.
# Those names are given while searching, from the event itself, by deploy/splunk/.
_EVENT: Final = b'{"event":'
_FIELDS: Final = b',"fields":{%b,"audit_id":"'
_OFFSET: Final = b'","kafka_offset":%d,'


class _Ordinary(msgspec.Struct, gc=False):
    event_type: EventType
    timestamp: Raw
    id: str | None = None
    decision: Literal["allow", "deny"] | None = None
    metadata: Metadata | None = None


_decode: Final = msgspec.json.Decoder(_Ordinary).decode


def _place(topic: str, partition: int) -> bytes:
    return b'"kafka_topic":%b,"kafka_partition":%d' % (json(topic), partition)


class Envelope(NamedTuple):
    """What Splunk is told of every event alike."""

    host: str
    source: str
    sourcetype: str
    index_name: str | None


class Splunk:
    """The collector at one address, with a token that is asked for at each request."""

    name: Final = "splunk"
    limits: Final = _LIMITS

    def __init__(
        self,
        url: str,
        token: Secret,
        envelope: Envelope,
        choice: Choice,
        *,
        channel: str,
        must_ack: bool,
    ) -> None:
        self._url = url
        self._token = token
        self._choice = choice
        self._redact = choice.redact
        self._channel = channel
        self._must_ack = must_ack
        self._tail = Memo(_tail_of(envelope))
        self._place = Memo(_place)

    @property
    def acks(self) -> "SplunkAcks | None":
        """How the indexers acknowledge, when the settings ask for it."""
        return SplunkAcks(self) if self._must_ack else None

    def encode(self, records: Sequence[Record]) -> Sequence[Encoded]:
        """Put the envelope around each event's own bytes; its time keeps its digits."""
        return encode_alike(records, self._encode_usual, self._encode_any)

    def _encode_usual(self, records: Sequence[Record]) -> list[Encoded]:
        """Write what is usual, step by step for all: 200,000 events pass here a second."""
        values = texts(records)
        if self._redact is not None:
            values = list(map(self._redact, values))
        events = list(map(_decode, values))
        seconds = [bytes(event.timestamp) for event in events]
        if not _are_seconds(b",".join(seconds) + b","):
            raise UnusualError
        ids = audit_ids(records, events)
        tails = [
            self._tail[event.event_type, event.decision, instance(event.metadata)]
            for event in events
        ]
        entries = self._join(records, zip(values, ids, tails, seconds, strict=True))
        if max(map(len, entries)) > _MAX_ENTRY_BYTES:
            raise UnusualError
        return self._choice.keep(events, entries)

    def _encode_any(self, record: Record) -> Encoded:
        return self._choice.entry(record, self._write, _MAX_ENTRY_BYTES, _TOO_LARGE)

    def _write(self, record: Record, event: Outline) -> bytes:
        tail = self._tail[event.event_type, event.decision, event.instance]
        return self._join([record], [(event.event, event.audit_id, tail, event.seconds)])[0]

    def _join(
        self, records: Sequence[Record], parts: Iterable[tuple[bytes, bytes, bytes, bytes]]
    ) -> list[bytes]:
        fields = _FIELDS % self._place[records[0].topic, records[0].partition]
        return [
            b"".join((_EVENT, value, fields, audit_id, _OFFSET % record.offset, tail, time, b"}"))
            for record, (value, audit_id, tail, time) in zip(records, parts, strict=True)
        ]

    def request(self, bodies: Sequence[bytes]) -> Request:
        """Return the POST of these entries, one on a line."""
        return self.post("/services/collector/event", b"\n".join(bodies))

    def post(self, path: str, body: bytes) -> Request:
        """Return a POST with the token as it is now. The channel does no harm without acks."""
        headers = {
            "authorization": f"Splunk {self._token()}",
            "content-type": "application/json",
            "x-splunk-request-channel": self._channel,
        }
        return Request(self._url + path, headers, body)

    def judge(self, answer: Answer, count: int) -> Outcome:
        """Say what an answer means, by the table in `splunk_answers`."""
        return splunk_answers.judge(answer, count, must_ack=self._must_ack)


class SplunkAcks:
    """Indexer acknowledgement, on the channel that the events were sent on."""

    def __init__(self, splunk: Splunk) -> None:
        self._splunk = splunk

    def request(self, ack_ids: Sequence[int]) -> Request:
        """Return the question which of these are indexed."""
        return self._splunk.post("/services/collector/ack", json({"acks": list(ack_ids)}))

    def judge(self, answer: Answer) -> frozenset[int] | Outcome:
        """Return those that are; each is said once."""
        return splunk_answers.judge_acks(answer)


def _tail_of(envelope: Envelope) -> Callable[[str | None, str | None, str | None], bytes]:
    """Return what writes the end of an entry, up to the digits of its time."""
    last = {"source": envelope.source, "sourcetype": envelope.sourcetype}
    if envelope.index_name is not None:
        last["index"] = envelope.index_name

    def tail(event_type: str | None, decision: str | None, instance: str | None) -> bytes:
        fields = {"app": "sark-gateway"}
        if event_type:
            fields["signature"] = event_type
        if decision is not None:
            fields["action"] = _ACTIONS[decision]
        host = {"host": instance or envelope.host}
        return json(fields)[1:] + b"," + json(host | last)[1:-1] + b',"time":'

    return tail
