"""Hypothesis strategies: JSON values, events with changed fields, and damaged bytes."""

from __future__ import annotations

import json
import sys
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from given_events import GOOD, TELEMETRY
from ingest_service.events.v1.fields import FIELDS

T = TypeVar("T")

text = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["\0", "a\0", "\\u0000", "_extra", "_ingest", "metadata", "4e-1", "9" * 50, "1e999", '"', "{["]
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
field_values = json_values | st.sampled_from(
    [
        GOOD["id"],
        "allow",
        "deny",
        "telemetry",
        1_700_000_000,
        1_700_000_000.1234567,
        1e12,
        "é" * 513,
    ]
)
fields = st.dictionaries(st.sampled_from(sorted(FIELDS)) | text, field_values, max_size=4)


@st.composite
def changed_events(draw: st.DrawFn) -> bytes:
    """Draw a valid event with some of its fields changed, taken out or added."""
    kept = dict(draw(st.sampled_from([GOOD, TELEMETRY])))
    for name in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=2)):
        kept.pop(name, None)
    return json.dumps({**kept, **draw(fields)}, ensure_ascii=draw(st.booleans())).encode()


@st.composite
def damaged_events(draw: st.DrawFn) -> bytes:
    """Draw an event in whose bytes something was overwritten, cut out or put in."""
    value = bytearray(draw(changed_events()))
    pieces = st.binary(max_size=3) | st.sampled_from(
        [
            b"\\u0000",
            b"\\ud800",
            b'"',
            b"1e400",
            b"9" * 41,
            b"{",
            b"]",
            b",",
            b"\\",
            b'"metadata":{},',
        ]
    )
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(value)))
        value[start : start + draw(st.integers(0, 6))] = draw(pieces)
    return bytes(value)


values = (
    st.binary(max_size=60)
    | json_values.map(lambda value: json.dumps(value).encode())
    | changed_events()
    | damaged_events()
)


def draw(strategy: st.SearchStrategy[T], examples: int) -> list[T]:
    """Return what Hypothesis makes, the same for one seed, for a test that needs it all at once."""
    drawn: list[T] = []

    @settings(
        max_examples=examples,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def take(value: T) -> None:
        drawn.append(value)

    # Nothing of ours runs here, and under coverage's tracer it takes three times as long.
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        take()
    finally:
        sys.settrace(tracer)
    return drawn
