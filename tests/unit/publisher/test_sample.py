"""Made-up traffic looks like a gateway's, and every event of it becomes a row."""

from collections import Counter
from itertools import islice, pairwise

import msgspec
from prometheus_client import CollectorRegistry

from ingest_service.events.audit_event import GatewayAuditEvent
from ingest_service.events.decode import CONTRACT, decoder
from ingest_service.events.record import Limits, Row, StoredRecord
from ingest_service.publisher.lines import seal_line
from ingest_service.publisher.pacing import sample_lines
from ingest_service.publisher.sample import sample_events
from ingest_service.publisher.sealing import Sealed
from ingest_service.telemetry.declaration import Kind, Source
from ingest_service.telemetry.metrics import CATALOGUE
from ingest_service.telemetry.worker_metrics import WorkerMetrics

NOW = 1_780_000_000.0


def events(number: int, seed: int = 1) -> list[GatewayAuditEvent]:
    return list(islice(sample_events(seed, lambda: NOW), number))


def test_every_sample_becomes_a_row() -> None:
    """What `make up` shows is never quarantined."""
    for event in events(2000):
        line = msgspec.json.encode(event)
        assert isinstance(seal_line(line, int(NOW * 1000), Limits()), Sealed)


def test_one_seed_gives_the_same_traffic_with_new_ids() -> None:
    """A demonstration can be repeated without one row being taken for a duplicate."""
    first, second = events(200), events(200)
    assert not {event.id for event in first} & {event.id for event in second}
    bare = [[msgspec.structs.replace(event, id=None) for event in run] for run in (first, second)]
    assert bare[0] == bare[1]
    assert events(200, seed=2)[0].gateway_request_id != first[0].gateway_request_id


def test_traffic_is_mixed_and_skewed() -> None:
    """All kinds occur, most is allowed, and the busiest user does far more than most."""
    sample = events(5000)
    kinds = Counter(event.event_type for event in sample)
    common = ["tool_invoke", "a2a_communication", "discovery", "telemetry"]
    assert list(dict(kinds.most_common())) == common
    denied = sum(event.decision == "deny" for event in sample) / len(sample)
    assert 0.04 < denied < 0.15
    users = Counter(event.user_id for event in sample if event.user_id).most_common()
    assert users[0][1] > 10 * users[len(users) // 2][1]
    assert any("error" in event.metadata for event in sample)
    assert {"source_type", "target_type"} <= {key for event in sample for key in event.metadata}


def test_traffic_is_a_healthy_gateways() -> None:
    """Nobody who tries the service out sees an alert: latency, errors, denials, cache are as meant."""
    decided = [e for e in events(20_000) if e.event_type in {"tool_invoke", "discovery"}]
    slowest = sorted(e.metadata["latency_ms"] for e in decided)[len(decided) * 19 // 20 :]
    assert slowest[0] < 50
    assert sum("error" in e.metadata for e in decided) < 0.1 * len(decided)
    assert sum(e.decision == "deny" for e in decided) < 0.3 * len(decided)
    assert sum(e.metadata["cache_hit"] for e in decided) > 0.9 * len(decided)


async def test_a_number_without_rate_comes_at_once() -> None:
    """Without a rate nothing waits."""
    assert len([line async for line in sample_lines(50, None, 1)]) == 50


async def test_a_rate_spreads_events_over_time() -> None:
    """Ten events at a hundred a second take at least ninety milliseconds."""
    import time

    started = time.monotonic()
    assert len([line async for line in sample_lines(10, 100, 1)]) == 10
    assert time.monotonic() - started >= 0.09


def test_no_metric_of_the_gateway_stays_empty() -> None:
    """Whoever looks at the dashboards of `make up` sees each of their panels at work."""
    lines = [msgspec.json.encode(event) for event in events(6000)]
    decode = decoder(CONTRACT, Limits())
    rows = [
        decode(StoredRecord("t", 0, offset, int(NOW * 1000), None, line))
        for offset, line in enumerate(lines)
    ]
    registry = CollectorRegistry()
    WorkerMetrics(registry, lambda: NOW).written([row for row in rows if isinstance(row, Row)], 1)
    shown = {sample.name for family in registry.collect() for sample in family.samples}
    projected = [
        each for each in CATALOGUE if each.source in {Source.EVENTS, Source.TELEMETRY, Source.BOTH}
    ]
    for metric in projected:
        name = f"{metric.name}_count" if metric.kind is Kind.HISTOGRAM else metric.name
        assert name in shown
    read = registry.get_sample_value
    for why in ("malformed", "unknown_name", "bad_value", "too_many", "too_old"):
        assert read("sark_audit_telemetry_ignored_total", {"reason": why}) == 0


def test_several_gateways_tell_how_they_are() -> None:
    """Each of them, and each again and again."""
    told = [
        event.metadata["telemetry"]["instance"]
        for event in events(2000)
        if event.event_type == "telemetry"
    ]
    assert len(set(told)) == 3
    assert told[:3] == told[3:6]


def test_quiet_gateways_tell_in_time() -> None:
    """At a slow rate nobody waits for a hundred events: a gauge is shown for a minute only."""
    clock = iter(range(0, 10_000, 4))
    sample = sample_events(1, lambda: NOW + next(clock))
    told = [event for event in islice(sample, 40) if event.event_type == "telemetry"]
    ages = [after.timestamp - before.timestamp for before, after in pairwise(told)]
    assert told
    assert max(ages) <= 8
