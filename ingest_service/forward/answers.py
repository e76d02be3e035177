"""What a sink's answer means: pure, and never taken for success unless the sink said so."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple


class Answer(NamedTuple):
    """What a sink answered. Header names are in lower case; `body` may have been cut short.

    `received_at` is Unix seconds by our clock.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: float


class Why(NamedTuple):
    """The reason of an outcome: a code from a short list, and a sentence for a person.

    The code may be a metric's label and a dead letter's header. Neither holds event content, or
    anything that the sink wrote.
    """

    code: str
    text: str

    def __str__(self) -> str:
        return self.text


class Accepted(NamedTuple):
    """The sink has every event of the request; with `ack_id`, once that is acknowledged.

    `slow_down`: it has them, and its queues are nearly full.
    """

    ack_id: int | None = None
    slow_down: bool = False


class Retry(NamedTuple):
    """Send again, not before `after_seconds` when the sink named a time.

    The first `accepted` events of the request are at the sink already: send those after them.
    """

    why: Why
    after_seconds: float | None = None
    accepted: int = 0


class Split(NamedTuple):
    """The request is too large: send its halves. One event alone is refused for its size."""

    why: Why


class Isolate(NamedTuple):
    """Event `place` (from 0) of the request is refused for good; those after it were not read.

    With `before_accepted` the sink has those before it, and they are not sent again.
    """

    place: int
    why: Why
    before_accepted: bool


class Bisect(NamedTuple):
    """Some event of the request is refused, none is named; nothing of the request was taken.

    Of one event alone this says that it is refused only if another, known to be good, is not.
    """

    why: Why


class Ours(NamedTuple):
    """We are set up wrongly: hold the offsets, open the breaker, say so, drop nothing."""

    why: Why


Outcome = Accepted | Retry | Split | Isolate | Bisect | Ours


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that `Retry-After` asks for, in either of its forms; None without one.

    A date is compared with the answer's own `Date` where there is one: the two clocks may differ.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    until = _unix_seconds(text)
    if until is None:
        return None
    answered = _unix_seconds(headers.get("date", ""))
    return max(0.0, until - (now if answered is None else answered))


def _unix_seconds(http_date: str) -> float | None:
    try:
        return parsedate_to_datetime(http_date).timestamp()
    except (ValueError, OverflowError):
        return None
