"""Datadog's v2 logs intake as it is documented."""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from .arrived import Entry
from .body import CannotUnpackError, encoding_is_known, unpacked
from .identity import identity
from .outcome import Outcome, scripted_answer
from .wire import as_html, as_json

if TYPE_CHECKING:
    from .faults import Fault, Place
    from .wire import Answer, Request

LOGS = "/api/v2/logs"
VALIDATE = "/api/v1/validate"
AGED_SECONDS = 18 * 3600


class DatadogSettings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The account and its limits; it may be changed while the stand-in runs."""

    api_keys: set[str] = msgspec.field(default_factory=lambda: {"local-datadog-key"})
    max_body_bytes: int = 5_000_000
    max_entry_bytes: int = 1_000_000
    max_entries: int = 1000


class Datadog:
    """The intake: all of an array or nothing, and never a word about one entry."""

    name = "datadog"

    def __init__(self, settings: DatadogSettings | None = None) -> None:
        self.settings = settings or DatadogSettings()

    def place(self, method: str, path: str) -> Place | None:
        """Say which of the API's places a request is for."""
        if (method, path) == ("POST", LOGS):
            return "events"
        return "health" if (method, path) == ("GET", VALIDATE) else None

    def health(self, request: Request) -> Outcome:
        """Say whether the key is valid."""
        refused = self._authorised(request)
        return Outcome(refused or as_json(HTTPStatus.OK, {"valid": True}))

    def ack(self, request: Request) -> Outcome:
        """Answer as an API that has no such place."""
        del request
        return Outcome(as_json(HTTPStatus.NOT_FOUND, {"errors": ["Not found"]}))

    def events(self, request: Request) -> Outcome:
        """Take in the whole array, or refuse it whole."""
        early = self._refused_early(request)
        if early is not None:
            return Outcome(early)
        try:
            body = unpacked(request)
            if len(body) > self.settings.max_body_bytes:
                return Outcome(_refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Request too large"))
            raw_entries = _ARRAY.decode(body)
            if len(raw_entries) > self.settings.max_entries:
                return Outcome(_refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Request too large"))
            contents = [_entry_of(bytes(raw)) for raw in raw_entries]
        except (CannotUnpackError, ValueError, RecursionError):
            return Outcome(_refusal(HTTPStatus.BAD_REQUEST))
        return self._take(raw_entries, contents)

    def count_only(self, request: Request) -> Outcome:
        """Answer a good request without looking into its body."""
        early = self._refused_early(request)
        answer = early or as_json(HTTPStatus.ACCEPTED, {})
        return Outcome(answer, uncounted=early is None)

    def count(self, body: bytes) -> int:
        """Return how many entries a body holds."""
        return len(_ARRAY.decode(body))

    def scripted(self, request: Request, body: bytes, fault: Fault) -> Outcome:
        """Answer as a fault says; take in what it says is taken in."""
        del request
        taken = self._take_what_can_be(body)
        number = len(taken) if fault.accept < 0 else fault.accept
        if fault.status == HTTPStatus.ACCEPTED:
            return Outcome(as_json(HTTPStatus.ACCEPTED, {}, fault.headers), taken)
        return Outcome(scripted_answer(fault), taken[:number])

    def lost(self, request: Request) -> Outcome:
        """Say that a request was accepted, and forget it."""
        del request
        return Outcome(as_json(HTTPStatus.ACCEPTED, {}))

    def _take_what_can_be(self, body: bytes) -> list[Entry]:
        try:
            raw_entries = _ARRAY.decode(body)
            return self._take(raw_entries, [_entry_of(bytes(raw)) for raw in raw_entries]).taken
        except (ValueError, RecursionError):
            return []

    def _take(self, raw_entries: list[msgspec.Raw], contents: list[dict[str, Any]]) -> Outcome:
        now = time.time()
        taken: list[Entry] = []
        problems: list[str] = []
        for raw, content in zip(raw_entries, contents, strict=True):
            body = bytes(raw)
            if len(body) > self.settings.max_entry_bytes:
                # The real one cuts it and answers 202 all the same.
                problems.append("truncated")
                body = body[: self.settings.max_entry_bytes]
            problems += _quirks(content, now)
            taken.append(Entry(body, now, *identity(content)))
        return Outcome(as_json(HTTPStatus.ACCEPTED, {}), taken, problems)

    def _refused_early(self, request: Request) -> Answer | None:
        """Return the answer to a request whose body need not be read."""
        if len(request.body) > self.settings.max_body_bytes:
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Request too large")
        refused = self._authorised(request)
        if refused is not None:
            return refused
        kind = request.headers.get("content-type", "").partition(";")[0]
        if kind != "application/json" or not encoding_is_known(request):
            return as_html(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        return None

    def _authorised(self, request: Request) -> Answer | None:
        key = request.headers.get("dd-api-key")
        if not key:
            return _refusal(HTTPStatus.UNAUTHORIZED)
        return None if key in self.settings.api_keys else _refusal(HTTPStatus.FORBIDDEN)


def _entry_of(raw: bytes) -> dict[str, Any]:
    """Return an entry; raise ValueError when the intake would refuse it."""
    content: dict[str, Any] = json.loads(raw.decode())
    _WITH_MESSAGE.decode(raw)
    return content


def _quirks(content: dict[str, Any], now: float) -> list[str]:
    """Name what the intake takes and does not use as it was meant."""
    found = []
    at = content.get("timestamp")
    if at is not None and not isinstance(at, int):
        found.append("timestamp_not_integer")
    elif at is not None and at < (now - AGED_SECONDS) * 1000:
        found.append("older_than_18_hours")
    found += [
        f"{name}_not_string"
        for name in ("ddsource", "ddtags", "hostname", "service")
        if not isinstance(content.get(name, ""), str)
    ]
    return found


def _refusal(status: HTTPStatus, detail: str = "") -> Answer:
    said = {"status": str(int(status)), "title": status.phrase}
    return as_json(status, {"errors": [said | ({"detail": detail} if detail else {})]})


class _WithMessage(msgspec.Struct):
    message: str


_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_WITH_MESSAGE = msgspec.json.Decoder(_WithMessage)
