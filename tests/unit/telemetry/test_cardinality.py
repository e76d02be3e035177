"""However hostile the label values are, memory and /metrics stay small, and no count is lost."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from ingest_service.telemetry.declaration import Kind
from ingest_service.telemetry.metrics import TOLD
from ingest_service.telemetry.worker_metrics import WorkerMetrics

from .test_projection import row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingest_service.events.record import Row

LONG = '"\\\n' + "\U0001f600" * 20
"""Escaped it is longer, and in UTF-8 four times as long."""
VALUES_OF_A_ROW = 9
VALUES_OF_TELEMETRY = 2000 * 3


def invented(chance: random.Random) -> Iterator[str]:
    """Yield names without end: many among a few, so that they meet in new ways, and many new."""
    while True:
        known = chance.random() < 0.5
        yield f"{chance.randrange(200) if known else chance.getrandbits(40)}{LONG}"


def hostile_row(names: Iterator[str], number: int) -> Row:
    metadata = {
        "action": next(names),
        "latency_ms": number % 2000,
        "cache_hit": number % 2 == 0,
        "source_type": next(names),
        "target_type": next(names),
        "policy": {"name": next(names), "rule": f"rate-limit-{number}"},
    }
    if number % 3 == 0:
        metadata["error"] = {"operation": next(names), "error_type": next(names)}
    kinds = ("tool_invoke", "a2a_communication", f"type_{number}")
    return row(
        metadata,
        event_type=kinds[number % 3],
        server_name=next(names),
        tool_name=next(names),
        decision=("allow", "deny")[number % 2],
        gateway_request_id=next(names),
    )


def hostile_telemetry(names: Iterator[str]) -> Row:
    """Return an event that tells 2000 series, each under names of its own."""
    lists: dict[str, list[Any]] = {"counters": [], "histograms": [], "gauges": []}
    metrics = list(TOLD.values())
    for number in range(2000):
        metric = metrics[number % len(metrics)]
        labels = {label.name: next(names) for label in metric.labels}
        series: dict[str, Any] = {"name": metric.told, "labels": labels}
        if metric.kind is Kind.COUNTER:
            lists["counters"].append(series | {"delta": 1})
        elif metric.kind is Kind.GAUGE:
            lists["gauges"].append(series | {"value": 1})
        else:
            lists["histograms"].append(series | {"bounds": [], "deltas": [1], "sum": 1})
    telemetry = {"instance": next(names), **lists}
    now_us = int(time.time() * 1e6)
    return row({"telemetry": telemetry}, event_type="telemetry", decision=None, timestamp_us=now_us)


@pytest.fixture(scope="module")
def flooded() -> CollectorRegistry:
    """Return what is left of a million invented label values."""
    names, registry = invented(random.Random(1)), CollectorRegistry()
    metrics, values = WorkerMetrics(registry), 0
    number = 0
    while values < 1_000_000:
        metrics.written([hostile_telemetry(names) for _ in range(10)], 1.0)
        metrics.written([hostile_row(names, number + n) for n in range(4000)], 1.0)
        number += 4000
        values += 10 * VALUES_OF_TELEMETRY + 4000 * VALUES_OF_A_ROW
    registry.rows = number  # type: ignore[attr-defined]
    return registry


@pytest.mark.parametrize(
    "render",
    [
        generate_latest,
        partial(exposition.generate_latest, escaping=exposition.ALLOWUTF8, version="1.0.0"),
    ],
    ids=["text", "OpenMetrics"],
)
def test_a_million_invented_values_keep_the_page_small_and_quick(
    flooded: CollectorRegistry, render: Callable[[CollectorRegistry], bytes]
) -> None:
    """Less than a megabyte, in less than a tenth of a second, whichever way it is asked for."""
    seconds = []
    for _ in range(5):
        began = time.thread_time()
        page = render(flooded)
        seconds.append(time.thread_time() - began)
    assert len(page) < 1_000_000
    assert min(seconds) < 0.1


def test_flood_loses_no_count(flooded: CollectorRegistry) -> None:
    """What has no name of its own is counted as other."""
    counted = sum(
        sample.value
        for family in flooded.collect()
        for sample in family.samples
        if sample.name == "sark_gateway_requests_total"
    )
    assert counted >= flooded.rows  # type: ignore[attr-defined]


def test_closed_labels_survive_the_flood(flooded: CollectorRegistry) -> None:
    """Beyond all bounds a denial is still told from what was allowed: the deny rate is right."""
    by_decision: dict[str, float] = {}
    for family in flooded.collect():
        for sample in family.samples:
            if sample.name == "sark_gateway_authz_requests_total":
                decision = sample.labels["decision"]
                by_decision[decision] = by_decision.get(decision, 0) + sample.value
    assert by_decision.keys() == {"allow", "deny"}
    assert by_decision["deny"] == pytest.approx(by_decision["allow"], abs=1)


def test_page_of_hostile_values_can_be_read(flooded: CollectorRegistry) -> None:
    """Every value is a label's value, none a line, a label or a number of its own."""
    render = partial(exposition.generate_latest, escaping=exposition.ALLOWUTF8, version="1.0.0")
    families = list(openmetrics(render(flooded).decode()))
    names = {family.name for family in flooded.collect()}
    assert {family.name for family in families} == names
    for family in families:
        for sample in family.samples:
            assert all(len(value.encode()) <= 64 for value in sample.labels.values())
