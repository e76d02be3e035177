"""Both sinks, as a test wants them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from given_events import KAFKA_MS
from ingest_service.forward.ports import Encoded, Filtered, Sink, Unsendable
from ingest_service.forward.sinks.choice import Choice
from ingest_service.forward.sinks.datadog import Datadog, Origin
from ingest_service.forward.sinks.redaction import redactor
from ingest_service.forward.sinks.splunk import Envelope, Splunk

if TYPE_CHECKING:
    from ingest_service.events.record import Record

NOW = KAFKA_MS / 1000


def choice(redact: str = "", leave_out: str = "") -> Choice:
    """Return what leaves, by the settings."""
    paths = [tuple(path.split(".")) for path in redact.split(",") if path]
    return Choice(redactor(paths), frozenset(rule for rule in leave_out.split(",") if rule))


def splunk(
    chosen: Choice | None = None, *, index: str | None = "audit", must_ack: bool = False
) -> Splunk:
    return Splunk(
        "https://splunk:8088",
        lambda: "the-token",
        Envelope("worker-1", "gateway.audit.events", "sark:gateway", index),
        chosen or choice(),
        channel="00000000-0000-0000-0000-000000000001",
        must_ack=must_ack,
    )


def datadog(chosen: Choice | None = None, now: float = NOW) -> Datadog:
    return Datadog(
        "https://intake",
        lambda: "the-key",
        Origin("worker-1", "sark-gateway", "env:prod"),
        chosen or choice(),
        clock=lambda: now,
    )


def encoded(sink: Sink, record: Record) -> Encoded:
    """Return what becomes of one record."""
    [one] = sink.encode([record])
    return one


def entry_of(sink: Splunk | Datadog, record: Record) -> dict[str, Any]:
    """Return what the sink would be sent, read as strictly as a sink reads it."""
    body = encoded(sink, record)
    assert isinstance(body, bytes), body
    return parse(body)


def parse(body: bytes) -> dict[str, Any]:
    """Read strict JSON: no NaN, no second key of the same name in what is ours."""
    read: dict[str, Any] = json.loads(body.decode(), parse_constant=_refuse)
    return read


def unsendable(sink: Splunk | Datadog, record: Record) -> Unsendable:
    answer = encoded(sink, record)
    assert isinstance(answer, Unsendable), answer
    return answer


def filtered(sink: Splunk | Datadog, record: Record) -> bool:
    return isinstance(encoded(sink, record), Filtered)


def _refuse(constant: str) -> None:
    raise ValueError(constant)
