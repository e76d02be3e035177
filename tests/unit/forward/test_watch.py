"""What is seen of a sink from outside: what waits for it, what holds it, whether it is alive."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from ingest_service.telemetry.health import Phase
from ingest_service.telemetry.watch import watch
from siem import Fault
from waiting import until

from .test_pipeline import events

if TYPE_CHECKING:
    from fakes.forwarding import Bench


@pytest.fixture(autouse=True)
def watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.telemetry.watch._LOOK_EVERY_SECONDS", 0.005)
    monkeypatch.setattr("ingest_service.telemetry.watch._END_OFFSETS_EVERY_SECONDS", 0.01)


async def test_what_waits_in_kafka_is_shown_while_the_sink_is_away(bench: Bench) -> None:
    """The backlog grows while nothing is fetched, its age is told, and no restart is asked for."""
    bench.siem.splunk.script.add(Fault(status=503, times=0))
    async with bench.forwarder() as forwarder:
        watching = asyncio.create_task(watch(forwarder.source, forwarder.observer))
        health = forwarder.observer.health
        await until(lambda: health.phase is Phase.ASSIGNED)
        bench.put(*events(400))
        backlog = "sark_siem_backpressure_events"
        await until(lambda: forwarder.counted(backlog) == 400)
        await until(lambda: forwarder.counted("sark_siem_oldest_unsent_seconds") > 1_000_000)
        await until(lambda: forwarder.observer.held_by)
        place = {"topic": forwarder.source.topic, "partition": "0"}
        assert forwarder.registry.get_sample_value("sark_audit_topic_end_offset", place) == 400
        assert forwarder.counted("sark_siem_consumer_lag", **place) == 400
        bench.siem.splunk.script.clear()
        await until(lambda: forwarder.counted(backlog) == 0)
        assert forwarder.counted("sark_siem_committed_offset", **place) == 400
        assert forwarder.counted("sark_siem_consumer_lag", **place) == 0
        await until(lambda: forwarder.counted("sark_siem_oldest_unsent_seconds") == 0)
        bench.broker.available = False
        await until(
            lambda: (
                "kafka" in json.dumps(health.detailed(0.0)["components"])
                and health.detailed(0.0)["components"]["kafka"]["status"] == "unhealthy"
            )
        )
        bench.broker.available = True
        watching.cancel()


async def test_member_without_a_partition_stands_by(bench: Bench) -> None:
    """More forwarders than partitions is no fault; what one gives up is no longer shown."""
    bench.put(*events(10))
    async with bench.forwarder() as first:
        await bench.drained()
        async with bench.forwarder() as second, bench.forwarder() as third:
            watching = asyncio.create_task(watch(third.source, third.observer))
            await until(lambda: third.observer.health.phase is Phase.STANDING_BY)
            await until(
                lambda: set(first.observer.done) == {0} and set(second.observer.done) == {1}
            )
            watching.cancel()
