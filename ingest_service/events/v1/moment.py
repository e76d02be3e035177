"""The time that an event states, against the time that Kafka gave its record."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from ingest_service.events.rejection import Reason
from ingest_service.events.v1.bounds import MAX_LEAD_SECONDS
from ingest_service.events.v1.refusal import Refused

_MICROSECONDS: Final = 1_000_000
_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)

_UNITS: Final = (
    (Decimal(10) ** 14, "milliseconds: divide it by 1,000"),
    (Decimal(10) ** 17, "microseconds: divide it by 1,000,000"),
    (Decimal(10) ** 20, "nanoseconds: divide it by 1,000,000,000"),
)
_NO_SECONDS: Final = Decimal(10) ** 11
"""The year 5138: a larger number counts something smaller than seconds."""


def to_microseconds(literal: str) -> int:
    """Return the Unix seconds that a JSON number states in microseconds, ties to even.

    Decimal all the way: `time.time()` prints seven digits after the point, and a product of
    doubles would round some of them the wrong way.
    """
    seconds = Decimal(literal)
    if abs(seconds) >= _NO_SECONDS:
        raise _refuse_unit(abs(seconds))
    return int(seconds.scaleb(6, _EXACT).to_integral_value(context=_EXACT))


def judge_moment(timestamp_us: int, kafka_ms: int, max_age_seconds: int) -> int:
    """Return the event's time if it is near enough to Kafka's, both ends included."""
    kafka_us = kafka_ms * 1_000
    if timestamp_us > kafka_us + MAX_LEAD_SECONDS * _MICROSECONDS:
        raise Refused(
            Reason.TIMESTAMP_IN_FUTURE,
            "timestamp is more than a day after Kafka received the event: set the gateway's clock",
        )
    if timestamp_us < max(0, kafka_us - max_age_seconds * _MICROSECONDS):
        raise Refused(
            Reason.TIMESTAMP_TOO_OLD,
            f"timestamp is more than {max_age_seconds:,} seconds before Kafka received the event:"
            " publish sooner, or have INGEST_EVENTS__MAX_AGE raised",
        )
    return timestamp_us


def _refuse_unit(size: Decimal) -> Refused:
    for bound, unit in _UNITS:
        if size < bound:
            return Refused(
                Reason.TIMESTAMP_IN_MILLISECONDS,
                f"timestamp must be in Unix seconds, and its size says {unit}",
            )
    return Refused(
        Reason.NUMBER_OUT_OF_RANGE,
        "timestamp is too large for a time in any unit: send Unix seconds",
    )
