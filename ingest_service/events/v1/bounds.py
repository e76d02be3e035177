"""What contract 1 allows: the publisher trims to these, the schema states them."""

from typing import Final

MAX_VALUE_BYTES: Final = 1_048_576
MAX_DEPTH: Final = 64
"""Nesting of objects and arrays; the event itself counts one."""
MAX_EVENT_TYPE_CHARACTERS: Final = 50
MAX_NAME_CHARACTERS: Final = 512
MAX_NUMBER_CHARACTERS: Final = 40
MAX_EXPONENT: Final = 308
EVENT_TYPE_PATTERN: Final = "[a-z][a-z0-9_.-]*"
MAX_LEAD_SECONDS: Final = 86_400
"""How far an event's time may lie after the time that Kafka gave its record."""
TELEMETRY: Final = "telemetry"
"""The event type that carries the gateway's counters and no decision."""
