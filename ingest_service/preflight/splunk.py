"""What Splunk's collector says to questions that leave no event behind."""

import time
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Final, Protocol
from uuid import uuid4

import msgspec

from ingest_service.preflight.finding import Finding, right, warning, wrong
from ingest_service.settings_sinks import SplunkSettings
from ingest_service.shapes import HttpAnswer

_URL: Final = "INGEST_SPLUNK__URL"
_HEALTHY, _NO_DATA, _INCORRECT_INDEX, _ACK_DISABLED = 17, 5, 7, 14
_BUSY: Final = (9, 18, 19, 20, 23, 26, 27)
_REFUSED: Final[Mapping[int, str]] = {
    1: "the token is disabled",
    2: "no token was taken from the request",
    3: "the token's form is not accepted",
    4: "no such token",
}


class Asking(Protocol):
    """Sends one request as it is; raises `SinkUnavailableError` without an answer."""

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> HttpAnswer:
        """Return whatever the server says."""
        ...


async def look_at(
    splunk: SplunkSettings, sender: Asking, *, send_event: bool
) -> AsyncIterator[Finding]:
    """Yield a finding for each thing that the collector must allow.

    Raises `SinkUnavailableError` when there is no answer, `SetupError` without a token.
    """
    collector = f"{splunk.url}/services/collector"
    headers = {
        "Authorization": f"Splunk {splunk.require_token()}",
        "X-Splunk-Request-Channel": str(uuid4()),
    }
    answer = await sender.ask("GET", f"{collector}/health", {})
    yield judge_health(answer)
    # An empty body is refused for being empty, and only from somebody with a good token.
    answer = await sender.ask("POST", f"{collector}/event", headers)
    yield judge_token(answer)
    if send_event:
        answer = await sender.ask("POST", f"{collector}/event", headers, _event(splunk))
        yield judge_event(answer, splunk.index)
    elif splunk.index:
        yield right(f"Splunk index {splunk.index}", "not tried: `check --send-event` sends one")
    if splunk.ack:
        answer = await sender.ask("POST", f"{collector}/ack", headers, b'{"acks":[0]}')
        yield judge_ack(answer)


def judge_health(answer: HttpAnswer) -> Finding:
    """Say whether this is a collector, and whether it can take anything now."""
    took = f"answered in {answer.seconds * 1000:.0f} ms"
    code = _code(answer)
    if code in _BUSY:
        return warning("Splunk", f"{took}: it is busy (code {code})", "events wait in Kafka")
    if answer.status == HTTPStatus.OK and code == _HEALTHY:
        return right("Splunk", took)
    return wrong(
        "Splunk",
        f"HTTP {answer.status} is no answer of an event collector",
        f"change {_URL}: https://host:8088, where the collector listens",
    )


def judge_token(answer: HttpAnswer) -> Finding:
    """Say whether the token may send events."""
    code = _code(answer)
    if answer.status == HTTPStatus.BAD_REQUEST and code == _NO_DATA:
        return right("Splunk token", "accepted")
    if code is not None and code in _REFUSED:
        return wrong("Splunk token", _REFUSED[code], "change INGEST_SPLUNK__TOKEN, or enable it")
    return _unclear("Splunk token", answer)


def judge_event(answer: HttpAnswer, index: str | None) -> Finding:
    """Say whether an event may go into the index."""
    subject = f"Splunk index {index}" if index else "Splunk index of the token"
    code = _code(answer)
    if answer.status == HTTPStatus.OK:
        return right(subject, "took an event that says `ingest-service check`")
    if code == _INCORRECT_INDEX:
        return wrong(
            subject, "refused", "allow the token this index, or change INGEST_SPLUNK__INDEX"
        )
    return _unclear(subject, answer)


def judge_ack(answer: HttpAnswer) -> Finding:
    """Say whether the token acknowledges what was indexed."""
    subject, code = "Splunk acknowledgement", _code(answer)
    if answer.status == HTTPStatus.OK:
        return right(subject, "available")
    if code == _ACK_DISABLED:
        advice = "enable indexer acknowledgement on the token, or set INGEST_SPLUNK__ACK=false"
        return wrong(subject, "not enabled on this token", advice)
    return _unclear(subject, answer)


def _unclear(subject: str, answer: HttpAnswer) -> Finding:
    code = _code(answer)
    said = f"HTTP {answer.status}" + ("" if code is None else f", code {code}")
    if code in _BUSY or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return warning(subject, f"cannot be told now ({said})", "ask again later")
    return wrong(subject, f"not accepted ({said})", f"check {_URL} and the token's settings")


def _event(splunk: SplunkSettings) -> bytes:
    event: dict[str, object] = {
        "event": "ingest-service check",
        "time": round(time.time(), 3),
        "sourcetype": splunk.sourcetype,
    }
    return msgspec.json.encode(event | ({"index": splunk.index} if splunk.index else {}))


class _Said(msgspec.Struct):
    code: int


_decode = msgspec.json.Decoder(_Said).decode


def _code(answer: HttpAnswer) -> int | None:
    """Return the collector's own code; None for what is not its answer (a proxy's page)."""
    try:
        return _decode(answer.body).code
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
