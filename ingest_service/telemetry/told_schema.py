"""`schemas/telemetry.json`: `python -m ingest_service.telemetry.told_schema` prints it.

What a gateway may tell in `metadata.telemetry`: path, type and meaning of each name.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ingest_service.telemetry.declaration import Declaration, Kind
from ingest_service.telemetry.metrics import TOLD
from ingest_service.telemetry.metrics_labels import GATEWAY_INSTANCE
from ingest_service.telemetry.told import MAX_NUMBER, MAX_SERIES

_LISTS: Final = {Kind.COUNTER: "counters", Kind.HISTOGRAM: "histograms", Kind.GAUGE: "gauges"}
_COUNT: Final = {"type": "number", "minimum": 0, "maximum": MAX_NUMBER}
_NUMBERS: Final[Mapping[Kind, Mapping[str, Any]]] = {
    Kind.COUNTER: {"delta": {**_COUNT, "description": "What came since it was last told."}},
    Kind.HISTOGRAM: {
        "bounds": {
            "description": "Upper bounds in seconds, rising; best as in `x-bounds`.",
            "type": "array",
            "items": {"type": "number"},
        },
        "deltas": {
            "description": "Observations since it was last told: by bucket, not cumulative, the "
            "last one beyond all bounds.",
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": int(MAX_NUMBER)},
        },
        "sum": {**_COUNT, "description": "Seconds of all of them together."},
    },
    Kind.GAUGE: {
        "value": {
            "description": "The last value; it is shown for a minute after it was told.",
            "type": "number",
            "minimum": -MAX_NUMBER,
            "maximum": MAX_NUMBER,
        }
    },
}


def build_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `metadata.telemetry`."""
    lists = {name: _list(kind) for kind, name in _LISTS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:gateway-audit-telemetry:1",
        "title": "metadata.telemetry",
        "description": "What only the gateway knows, told with any event or in one of type "
        f"`telemetry`, every 15 s or so. At most {MAX_SERIES} series in one event. What is of "
        "another shape is left out and counted (sark_audit_telemetry_ignored_total); the event "
        "is kept all the same. No user id belongs in a label.",
        "type": "object",
        "properties": {
            "instance": {"type": "string", "description": GATEWAY_INSTANCE.meaning},
            **lists,
        },
        "additionalProperties": False,
        "$defs": {name: _series(metric) for name, metric in TOLD.items()},
    }


def render_schema() -> str:
    """Return the schema's file as it is kept under `schemas/`."""
    text = msgspec.json.format(msgspec.json.encode(build_schema()), indent=2)
    return f"{text.decode()}\n"


def _list(kind: Kind) -> dict[str, Any]:
    names = [name for name, metric in TOLD.items() if metric.kind is kind]
    return {"type": "array", "items": {"oneOf": [{"$ref": f"#/$defs/{name}"} for name in names]}}


def _series(metric: Declaration) -> dict[str, Any]:
    labels = [each.name for each in metric.labels if each is not GATEWAY_INSTANCE]
    numbers = _NUMBERS[metric.kind]
    bounds = {"x-bounds": list(metric.buckets)} if metric.buckets else {}
    return {
        "title": metric.told,
        "description": metric.help,
        "x-path": f"metadata.telemetry.{_LISTS[metric.kind]}[name={metric.told}]",
        "x-metric": metric.name,
        **bounds,
        "type": "object",
        "properties": {
            "name": {"const": metric.told},
            "labels": {
                "type": "object",
                "properties": {label: {"type": "string"} for label in labels},
                "additionalProperties": False,
            },
            **numbers,
        },
        "required": ["name", *numbers],
        "additionalProperties": False,
    }


if __name__ == "__main__":
    sys.stdout.write(render_schema())
