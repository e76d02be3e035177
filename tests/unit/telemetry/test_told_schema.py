"""The published schema of telemetry, the publisher, and what is read of it say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from ingest_service.publisher.gathering import Telemetry
from ingest_service.telemetry.declaration import Kind, Source
from ingest_service.telemetry.metrics import CATALOGUE, TOLD
from ingest_service.telemetry.metrics_labels import GATEWAY_INSTANCE
from ingest_service.telemetry.told import read_told
from ingest_service.telemetry.told_schema import render_schema

PUBLISHED = Path(__file__).parents[3] / "schemas" / "telemetry.json"


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    published = json.loads(PUBLISHED.read_bytes())
    jsonschema.Draft202012Validator.check_schema(published)
    return jsonschema.Draft202012Validator(published)


def everything() -> dict[str, Any]:
    """Return one series of every name, as the publisher writes it."""
    telemetry = Telemetry()
    record = {Kind.COUNTER: telemetry.count, Kind.HISTOGRAM: telemetry.observe}
    for name, metric in TOLD.items():
        labels = {each.name: "x" for each in metric.labels if each is not GATEWAY_INSTANCE}
        record.get(metric.kind, telemetry.set)(name, labels, 1)
    return json.loads(msgspec.json.encode({"instance": "gw", **telemetry.as_json()}))


def test_published_schema_is_the_declarations() -> None:
    """The file under schemas/ is what the command prints."""
    command = "python -m ingest_service.telemetry.told_schema > schemas/telemetry.json"
    assert PUBLISHED.read_text() == render_schema(), command


def test_what_the_publisher_writes_is_valid(schema: jsonschema.Draft202012Validator) -> None:
    """Whoever writes a publisher in another language can rely on the schema alone."""
    schema.validate(everything())
    schema.validate({})


@pytest.mark.parametrize(
    "told",
    [
        {"counters": [{"name": "typo", "delta": 1}]},
        {"counters": [{"name": "errors", "delta": -1}]},
        {"counters": [{"name": "errors"}]},
        {"counters": [{"name": "errors", "labels": {"component": 1}, "delta": 1}]},
        {"gauges": [{"name": "errors", "value": 1}]},
        {"histograms": [{"name": "request_duration_seconds", "bounds": [1], "deltas": [0.5, 1]}]},
    ],
)
def test_what_would_be_left_out_is_not_valid(
    schema: jsonschema.Draft202012Validator, told: dict[str, Any]
) -> None:
    """What the schema refuses no metric shows."""
    assert not schema.is_valid(told)
    assert sum(read_told(msgspec.json.encode(told)).ignored.values()) == 1


def test_every_metric_that_only_the_gateway_knows_can_be_told() -> None:
    """One that has no name in telemetry would stay empty for ever."""
    for metric in CATALOGUE:
        assert bool(metric.told) == (metric.source in {Source.TELEMETRY, Source.BOTH}), metric.name
