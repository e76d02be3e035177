"""What Datadog's log intake answers, and what each answer means."""

from collections.abc import Callable, Mapping
from typing import Final

from ingest_service.forward.answers import (
    Accepted,
    Answer,
    Bisect,
    Ours,
    Outcome,
    Retry,
    Split,
    Why,
    retry_after,
)
from ingest_service.forward.sinks.statuses import judge_status


def _accepted(_: Answer, __: Why) -> Outcome:
    return Accepted()


def _bisect(_: Answer, why: Why) -> Outcome:
    return Bisect(why)


def _split(_: Answer, why: Why) -> Outcome:
    return Split(why)


def _ours(_: Answer, why: Why) -> Outcome:
    return Ours(why)


def _retry(answer: Answer, why: Why) -> Outcome:
    return Retry(why, retry_after(answer.headers, answer.received_at))


_KEY: Final = "set INGEST_DATADOG__API_KEY, or its file"

_TABLE: Final[Mapping[int, tuple[Callable[[Answer, Why], Outcome], Why]]] = {
    202: (_accepted, Why("accepted", "accepted")),
    400: (_bisect, Why("bad_payload", "Datadog refuses an event, and does not say which")),
    401: (_ours, Why("key_missing", f"Datadog misses the API key: {_KEY}")),
    403: (_ours, Why("key_refused", f"Datadog refuses the API key on this site: {_KEY}")),
    404: (_ours, Why("http_404", "no intake here: set INGEST_DATADOG__SITE, or __URL")),
    408: (_retry, Why("timeout", "Datadog waited too long for the request")),
    413: (_split, Why("too_large", "Datadog refuses the size")),
    415: (_ours, Why("http_415", "Datadog, or a proxy before it, does not take gzip")),
    429: (_retry, Why("too_many", "Datadog gets too many requests")),
    500: (_retry, Why("internal_error", "Datadog has an internal error")),
    502: (_retry, Why("bad_gateway", "Datadog cannot be reached behind its gateway")),
    503: (_retry, Why("busy", "Datadog is busy")),
    504: (_retry, Why("gateway_timeout", "Datadog is too slow behind its gateway")),
}


def judge(answer: Answer) -> Outcome:
    """Say what an answer means; there is no partial success, and no acknowledgement later.

    A 200 is not the intake's: whatever answered it has not kept the events.
    """
    row = _TABLE.get(answer.status)
    if row is None:
        return judge_status(answer)
    react, why = row
    return react(answer, why)
