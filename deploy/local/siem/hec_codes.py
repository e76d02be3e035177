"""The answers of the HTTP Event Collector: a code, its HTTP status, its text."""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """What goes with a code."""

    status: int
    text: str


CODES = {
    0: Meaning(200, "Success"),
    1: Meaning(403, "Token disabled"),
    2: Meaning(401, "Token is required"),
    3: Meaning(401, "Invalid authorization"),
    4: Meaning(403, "Invalid token"),
    5: Meaning(400, "No data"),
    6: Meaning(400, "Invalid data format"),
    7: Meaning(400, "Incorrect index"),
    8: Meaning(500, "Internal server error"),
    9: Meaning(503, "Server is busy"),
    10: Meaning(400, "Data channel is missing"),
    11: Meaning(400, "Invalid data channel"),
    12: Meaning(400, "Event field is required"),
    13: Meaning(400, "Event field cannot be blank"),
    14: Meaning(400, "ACK is disabled"),
    15: Meaning(400, "Error in handling indexed fields"),
    16: Meaning(400, "Query string authorization is not enabled"),
    17: Meaning(200, "HEC is healthy"),
    18: Meaning(503, "HEC is unhealthy, queues are full"),
    19: Meaning(503, "HEC is unhealthy, ack service unavailable"),
    20: Meaning(503, "HEC is unhealthy, queues are full, ack service unavailable"),
    21: Meaning(400, "Invalid token"),
    22: Meaning(400, "Token disabled"),
    23: Meaning(503, "Server is shutting down"),
    24: Meaning(200, "Queue is approaching capacity"),
    25: Meaning(200, "ACK channel is approaching capacity"),
    26: Meaning(429, "Queue is at capacity"),
    27: Meaning(429, "ACK channel is at capacity"),
    28: Meaning(400, "Sticky session is needed"),
}
SUCCESS, TOKEN_DISABLED, TOKEN_REQUIRED, INVALID_AUTHORIZATION, INVALID_TOKEN = range(5)
NO_DATA, INVALID_FORMAT, INCORRECT_INDEX = 5, 6, 7
CHANNEL_MISSING, INVALID_CHANNEL = 10, 11
EVENT_REQUIRED, EVENT_BLANK, ACK_DISABLED, BAD_FIELDS, QUERY_TOKEN = 12, 13, 14, 15, 16
HEALTHY = 17
