"""Splunk's HTTP Event Collector: an event in its envelope, a request, acknowledgements."""

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Raw

from ingest_service.events.record import Record
from ingest_service.events.v1.identity import derive_id
from ingest_service.forward.answers import Answer, Outcome, Why
from ingest_service.forward.ports import Filtered, Limits, Request, Secret, Unsendable
from ingest_service.forward.sinks import splunk_answers
from ingest_service.forward.sinks.choice import Choice
from ingest_service.forward.sinks.memo import Memo
from ingest_service.forward.sinks.origin import EventType, Metadata
from ingest_service.forward.sinks.outline import HEX_CLASSES, UUID_CLASSES, Outline, json

_MAX_ENTRY_BYTES: Final = 5_000_000
_LIMITS: Final = Limits(max_entries=10_000, max_bytes=1_048_576, max_entry_bytes=_MAX_ENTRY_BYTES)
_TOO_LARGE: Final = Why("entry_too_large", "the event is larger than Splunk's maxEventSize")

# The words of CIM's Authentication model: other words are in none of its reports.
_ACTIONS: Final = {"allow": "success", "deny": "failure"}
_DIGITS: Final = b"0123456789"
_SECONDS_DIGITS: Final = 10

# Constants in a row, and what varies little beside them: each place where they are broken costs
# five bytes of gzip an event, and an index of `user` or `dest` would cost ten per cent of the wire.
# Those names are given while searching, from the event itself, by deploy/splunk/.
_ENTRY: Final = b'{"event":%b,"fields":{%b,"audit_id":"%b","kafka_offset":%d,%b%b}'


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
        self._redact, self._left_out = choice
        self._channel = channel
        self._must_ack = must_ack
        self._tail = Memo(_tail_of(envelope))
        self._place = Memo(_place)

    @property
    def acks(self) -> "SplunkAcks | None":
        """How the indexers acknowledge, when the settings ask for it."""
        return SplunkAcks(self) if self._must_ack else None

    def encode(self, record: Record) -> bytes | Filtered | Unsendable:
        """Put the envelope around the event's own bytes; its time keeps its digits.

        Flat on purpose, and only for what is usual: this is called 200,000 times a second.
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
            seconds = bytes(event.timestamp)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._write_oddly(record)
        audit_id = (event.id or derive_id(record)).encode()
        # Ten digits, perhaps a point and more digits: a time from 2001 to 2286, no exponent.
        if (
            (seconds[10:11] != b"." or seconds.translate(None, _DIGITS) != b".")
            and not (len(seconds) == _SECONDS_DIGITS and seconds.isdigit())
        ) or audit_id.translate(HEX_CLASSES) != UUID_CLASSES:
            return self._write_oddly(record)
        if self._left_out and (rule := self._choice.rule(event.event_type, event.decision)):
            return Filtered(rule)
        metadata = event.metadata
        gateway = metadata.gateway if metadata is not None else None
        entry = _ENTRY % (
            value,
            self._place[record.topic, record.partition],
            audit_id,
            record.offset,
            self._tail[
                event.event_type, event.decision, gateway.instance if gateway is not None else None
            ],
            seconds,
        )
        return entry if len(entry) <= _MAX_ENTRY_BYTES else self._write_oddly(record)

    def _write_oddly(self, record: Record) -> bytes | Filtered | Unsendable:
        return self._choice.entry(record, self._write, _MAX_ENTRY_BYTES, _TOO_LARGE)

    def _write(self, record: Record, event: Outline) -> bytes:
        return _ENTRY % (
            event.event,
            self._place[record.topic, record.partition],
            event.audit_id,
            record.offset,
            self._tail[event.event_type, event.decision, event.instance],
            event.seconds,
        )

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
