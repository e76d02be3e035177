"""What Datadog says to questions that leave no log behind."""

from collections.abc import AsyncIterator
from http import HTTPStatus

import msgspec

from ingest_service.preflight.finding import Finding, right, warning, wrong
from ingest_service.preflight.splunk import Asking
from ingest_service.settings_sinks import DatadogSettings
from ingest_service.shapes import HttpAnswer

_KEY = "INGEST_DATADOG__API_KEY"


async def look_at(datadog: DatadogSettings, sender: Asking) -> AsyncIterator[Finding]:
    """Yield a finding for the intake and for the key.

    Raises `SinkUnavailableError` when there is no answer, `SetupError` without a key.
    """
    key = datadog.require_api_key()
    answer = await sender.ask("GET", f"{datadog.intake}/", {})
    yield right("Datadog", f"{datadog.intake}, answered in {answer.seconds * 1000:.0f} ms")
    api = datadog.url or f"https://api.{datadog.site}"
    answer = await sender.ask("GET", f"{api}/api/v1/validate", {"DD-API-KEY": key})
    yield judge_key(answer)


def judge_key(answer: HttpAnswer) -> Finding:
    """Say whether the key is valid at this site."""
    if answer.status == HTTPStatus.OK and _is_valid(answer.body):
        return right("Datadog key", "valid")
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return wrong(
            "Datadog key",
            "refused",
            f"change {_KEY}, or INGEST_DATADOG__SITE if the key is of another site",
        )
    said = f"cannot be told (HTTP {answer.status})"
    return warning("Datadog key", said, "ask again later; a proxy may not pass /api/v1/validate")


class _Said(msgspec.Struct):
    valid: bool


def _is_valid(body: bytes) -> bool:
    try:
        return msgspec.json.decode(body, type=_Said).valid
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
