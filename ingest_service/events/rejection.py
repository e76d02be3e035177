"""Why a record can not become a row, and what its publisher should change."""

from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """The codes kept in quarantine, in the originals' verdicts and on the metric."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    TOO_LONG = "too_long"
    BAD_ID = "bad_id"
    BAD_EVENT_TYPE = "bad_event_type"
    BAD_DECISION = "bad_decision"
    NUMBER_OUT_OF_RANGE = "number_out_of_range"
    TIMESTAMP_IN_MILLISECONDS = "timestamp_in_milliseconds"
    TIMESTAMP_TOO_OLD = "timestamp_too_old"
    TIMESTAMP_IN_FUTURE = "timestamp_in_future"
    # Decided while writing, not by the decoder:
    ID_REUSED = "id_reused"
    REFUSED_BY_DATABASE = "refused_by_database"


class Rejection(NamedTuple):
    """A verdict that a record is quarantined; `message` tells the publisher what to change.

    The message names fields and limits, never the event's content.
    """

    reason: Reason
    message: str
