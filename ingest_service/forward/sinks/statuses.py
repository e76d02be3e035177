"""What an HTTP status means that a sink's own table does not name."""

from http import HTTPStatus

from ingest_service.forward.answers import Answer, Ours, Retry, Why, retry_after

_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


def judge_status(answer: Answer) -> Retry | Ours:
    """Return a retry for what passes by itself, `Ours` for the rest; success for nothing."""
    status = answer.status
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        why = Why(f"http_{status}", f"the sink answered HTTP {status}")
        return Retry(why, retry_after(answer.headers, answer.received_at))
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        text = f"HTTP {status}: a redirect is not followed with the token; set the URL it leads to"
        return Ours(Why("redirect", text))
    return Ours(Why(f"http_{status}", f"the sink answered HTTP {status}: is its URL right?"))
