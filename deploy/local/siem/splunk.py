"""Splunk's HTTP Event Collector as it is documented, with what recorded runs showed beside it."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from . import hec_codes as code
from .acks import Acks, is_channel
from .arrived import Entry
from .body import CannotUnpackError, encoding_is_known, unpacked
from .hec_codes import CODES
from .hec_objects import Object, Reading, read_objects
from .identity import identity
from .outcome import Outcome, scripted_answer
from .wire import Answer, as_html, as_json

if TYPE_CHECKING:
    from .faults import Fault, Place
    from .wire import Request

EVENTS = ("/services/collector/event", "/services/collector", "/services/collector/event/1.0")
ACK = "/services/collector/ack"
HEALTH = ("/services/collector/health", "/services/collector/health/1.0")
CLOUD_REFUSES_FROM = 6_000_000


class SplunkSettings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What an administrator sets; it may be changed while the stand-in runs."""

    tokens: set[str] = msgspec.field(default_factory=lambda: {"local-splunk-token"})
    disabled_tokens: set[str] = set()
    # None: any index.
    indexes: set[str] | None = None
    ack: bool = False
    # None: nothing is acknowledged until it is set.
    ack_after_seconds: float | None = 0.0
    # Cloud refuses a large body with code 6 at event 0 where Enterprise answers 413.
    cloud: bool = False
    max_content_length: int = 838_860_800
    max_event_bytes: int = 5_242_880
    health_code: int = code.HEALTHY


class Splunk:
    """The collector: says what becomes of a request, and keeps the acknowledgements."""

    name = "splunk"

    def __init__(self, settings: SplunkSettings | None = None) -> None:
        self.settings = settings or SplunkSettings()
        self.acks = Acks()

    def place(self, method: str, path: str) -> Place | None:
        """Say which of the API's places a request is for."""
        if path in HEALTH and method == "GET":
            return "health"
        if method != "POST":
            return None
        return "events" if path in EVENTS else "ack" if path == ACK else None

    def health(self, request: Request) -> Outcome:
        """Say how the collector feels; the token is not looked at."""
        del request
        return Outcome(_answer(self.settings.health_code))

    def ack(self, request: Request) -> Outcome:
        """Say which of a channel's requests are indexed."""
        refused = self._authorised(request) or self._channel_fault(request)
        if not self.settings.ack:
            refused = refused or code.ACK_DISABLED
        if refused:
            return Outcome(_answer(refused))
        try:
            asked = msgspec.json.decode(request.body, type=dict[str, list[int]])["acks"]
        except (msgspec.DecodeError, KeyError):
            return Outcome(_answer(code.INVALID_FORMAT))
        told = self.acks.ask(
            _channel(request), asked, time.monotonic(), self.settings.ack_after_seconds
        )
        return Outcome(as_json(HTTPStatus.OK, {"acks": told}))

    def events(self, request: Request) -> Outcome:
        """Take in what can be indexed, and answer."""
        early = self._refused_early(request)
        if early is not None:
            return Outcome(early)
        try:
            body = unpacked(request)
        except CannotUnpackError:
            return Outcome(_answer(code.INVALID_FORMAT, named=0))
        if len(body) > self.settings.max_content_length:
            return Outcome(as_html(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
        if self.settings.cloud and len(body) >= CLOUD_REFUSES_FROM:
            return Outcome(_answer(code.INVALID_FORMAT, named=0))
        return self._outcome(request, self._read(body))

    def count_only(self, request: Request) -> Outcome:
        """Answer a good request without looking into its body."""
        early = self._refused_early(request)
        return Outcome(early or self._accepted(request, indexed=True), uncounted=early is None)

    def count(self, body: bytes) -> int:
        """Return how many objects a body holds."""
        return len(_LINES.decode_lines(body))

    def scripted(self, request: Request, body: bytes, fault: Fault) -> Outcome:
        """Answer as a fault says; take in what it says is taken in."""
        reading = self._read(body)
        indexed = reading.indexed if fault.accept < 0 else reading.indexed[: fault.accept]
        named = None
        if fault.code is not None and fault.match:
            bad = _first_with(fault.match.encode(), reading.indexed)
            indexed = reading.indexed[:bad]
            named = bad + 1 if fault.code == code.INCORRECT_INDEX else bad
        answer = _fault_answer(fault, named)
        if answer.status == HTTPStatus.OK and fault.body is None:
            answer = self._accepted(request, indexed=not fault.lose, said=fault.code or 0)
            indexed = reading.indexed
        return Outcome(answer, [] if fault.lose else _entries(indexed))

    def lost(self, request: Request) -> Outcome:
        """Say that a request was accepted, and forget it."""
        return Outcome(self._accepted(request, indexed=False))

    def _read(self, body: bytes) -> Reading:
        return read_objects(body, self.settings.indexes, self.settings.max_event_bytes)

    def _outcome(self, request: Request, reading: Reading) -> Outcome:
        problems = ["unknown_key"] if reading.swallowed else []
        if reading.code == code.SUCCESS:
            answer = self._accepted(request, indexed=True)
        else:
            answer = _answer(reading.code, named=reading.named)
        return Outcome(answer, _entries(reading.indexed), problems)

    def _accepted(self, request: Request, *, indexed: bool, said: int = code.SUCCESS) -> Answer:
        if not self.settings.ack:
            return _answer(said)
        number = self.acks.give(_channel(request), time.monotonic(), indexed=indexed)
        return _answer(said, ack_id=number)

    def _refused_early(self, request: Request) -> Answer | None:
        """Return the answer to a request whose body need not be read."""
        if len(request.body) > self.settings.max_content_length:
            return as_html(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        refused = self._authorised(request)
        if refused:
            return _answer(refused)
        if not encoding_is_known(request):
            return as_html(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        refused = self._channel_fault(request) if self.settings.ack else 0
        if refused:
            return _answer(refused)
        return None if request.body else _answer(code.NO_DATA)

    def _authorised(self, request: Request) -> int:
        """Return the code of what is wrong with the token, 0 when nothing is."""
        if "token" in parse_qs(request.query):
            return code.QUERY_TOKEN
        given = request.headers.get("authorization")
        if given is None:
            return code.TOKEN_REQUIRED
        scheme, _, token = given.partition(" ")
        if scheme != "Splunk" or not token:
            return code.INVALID_AUTHORIZATION
        if token in self.settings.disabled_tokens:
            return code.TOKEN_DISABLED
        return code.SUCCESS if token in self.settings.tokens else code.INVALID_TOKEN

    def _channel_fault(self, request: Request) -> int:
        if not _channel(request):
            return code.CHANNEL_MISSING
        return code.SUCCESS if is_channel(_channel(request)) else code.INVALID_CHANNEL


def _channel(request: Request) -> str:
    return request.headers.get("x-splunk-request-channel", "").lower()


def _answer(number: int, *, named: int | None = None, ack_id: int | None = None) -> Answer:
    said: dict[str, Any] = {"text": CODES[number].text, "code": number}
    if named is not None:
        said["invalid-event-number"] = named
    if ack_id is not None:
        said["ackId"] = ack_id
    return as_json(CODES[number].status, said)


def _fault_answer(fault: Fault, named: int | None) -> Answer:
    if fault.code is not None and fault.body is None:
        made = _answer(fault.code, named=named)
        status = fault.status or made.status
        return Answer(status, made.body, headers=fault.headers)
    return scripted_answer(fault)


def _first_with(text: bytes, objects: list[Object]) -> int:
    return next((n for n, each in enumerate(objects) if text in each.raw), len(objects))


def _entries(objects: list[Object]) -> list[Entry]:
    now = time.time()
    return [Entry(each.raw, now, *identity(each.content.get("fields") or {})) for each in objects]


_LINES = msgspec.json.Decoder(msgspec.Raw)
