"""Forwarder processes that are killed, rebalanced, locked out and refused: nothing is lost."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from ingest_service.forward.pipeline import REQUESTS_IN_FLIGHT
from siem import Fault, SplunkSettings
from stage.forwarding import ForwardStage, forward_stage
from stage.journal import event, events
from stage.waiting import until

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.kafka, pytest.mark.e2e]

HURRIED = json.dumps({"ingest_service.forward.gate.Breaker": {"open_seconds": 1.0}})
MOST_ENTRIES = {"splunk": 2000, "datadog": 1000}
SINKS = ["splunk", "datadog"]


@pytest_asyncio.fixture
async def stage(
    kafka_bootstrap: str, topic_name: str, tmp_path: Path
) -> AsyncIterator[ForwardStage]:
    async with forward_stage(kafka_bootstrap, topic_name, tmp_path) as stage:
        yield stage


async def has_arrived(stage: ForwardStage, sink: str, count: int) -> None:
    async def enough() -> bool:
        return len(stage.arrived(sink)) >= count

    await until(enough, what=f"{count} events are at {sink}")


@pytest.mark.parametrize("sink", SINKS)
async def test_killed_between_acceptance_and_commit_repeats_the_requests_in_flight_at_most(
    stage: ForwardStage, seed: random.Random, sink: str
) -> None:
    """The sink has them, nobody committed: the next worker sends them again, and no others."""
    await stage.produce(events(seed, 9_000))
    stage.intake(sink).script.add(Fault(delay=30, times=REQUESTS_IN_FLIGHT))
    victim = stage.start("--sink", sink)
    await has_arrived(stage, sink, 1_000)
    victim.signal(signal.SIGKILL)
    at_kill = time.monotonic()
    stage.intake(sink).script.clear()
    before = stage.intake(sink).arrived.events
    stage.start("--sink", sink)
    await has_arrived(stage, sink, before + 1)
    # The group's session of 10 s, and a process that starts meanwhile.
    assert time.monotonic() - at_kill < 15
    await stage.drained(sink)
    assert stage.arrived(sink) == set(stage.journal.records)
    assert 0 < stage.intake(sink).arrived.repeated <= REQUESTS_IN_FLIGHT * MOST_ENTRIES[sink]
    await stage.assert_nothing_lost(sink)


async def test_killed_at_random_again_and_again(stage: ForwardStage, seed: random.Random) -> None:
    """Whenever a worker dies, all that was produced arrives in the end."""
    for _ in range(2):
        await stage.produce(events(seed, 1_500))
        victim = stage.start("--sink", "splunk")
        await has_arrived(stage, "splunk", len(stage.journal.records) - 1_500 + 1)
        victim.signal(signal.SIGKILL)
        await victim.ended()
        await stage.assert_nothing_lost("splunk")
    stage.start("--sink", "splunk")
    await stage.drained("splunk")
    assert stage.arrived("splunk") == set(stage.journal.records)


async def test_told_to_stop_it_sends_what_has_gathered(
    stage: ForwardStage, seed: random.Random
) -> None:
    """SIGTERM: exit code 0 within the grace, everything read is at both sinks and committed."""
    worker = stage.start()
    await worker.logged("partitions assigned")
    await stage.produce(events(seed, 150))
    await has_arrived(stage, "datadog", 1)
    worker.signal(signal.SIGUSR1)
    worker.signal(signal.SIGTERM)
    assert await worker.ended(seconds=25) == 0, worker.tail()
    for sink in SINKS:
        await stage.assert_nothing_lost(sink)
        committed = await stage.committed(sink)
        assert sum(committed.values()) == len(stage.arrived(sink))
        assert stage.intake(sink).arrived.repeated == 0


async def test_sink_that_is_away_does_not_delay_the_other(
    stage: ForwardStage, seed: random.Random
) -> None:
    """Splunk's events arrive and are committed while Datadog takes nothing; health says which."""
    stage.siem.datadog.script.add(Fault(status=503, times=0))
    worker = stage.start(STAGE_CONSTANTS=HURRIED)
    await stage.produce(events(seed, 1_000))
    await stage.drained("splunk")
    assert sum((await stage.committed("datadog")).values()) == 0
    status, page = await worker.get("/health/detailed")
    detailed = json.loads(page)
    assert status == 200
    assert detailed["status"] == "degraded"
    assert detailed["components"]["splunk"]["status"] == "healthy"
    assert detailed["components"]["datadog"]["status"] == "unhealthy"
    stage.siem.datadog.script.clear()
    await stage.drained("datadog")
    for sink in SINKS:
        assert stage.arrived(sink) == set(stage.journal.records)


@pytest.mark.parametrize(
    ("sink", "name"), [("splunk", "INGEST_SPLUNK__TOKEN"), ("datadog", "INGEST_DATADOG__API_KEY")]
)
async def test_token_rotated_on_disk_heals_without_a_restart(
    stage: ForwardStage, seed: random.Random, sink: str, name: str
) -> None:
    """A wrong token holds the offsets and opens the breaker; the right one in its file closes it."""
    stage.set_secret(name, "wr0ng-t0ken")
    worker = stage.start("--sink", sink, STAGE_CONSTANTS=HURRIED)
    await stage.produce(events(seed, 300))
    await worker.logged("breaker opened")
    assert sum((await stage.committed(sink)).values()) == 0
    assert not await stage.dead_letters()
    stage.set_secret(name, f"local-{sink}-{'token' if sink == 'splunk' else 'key'}")
    await stage.drained(sink)
    assert stage.arrived(sink) == set(stage.journal.records)
    assert "wr0ng-t0ken" not in worker.log.read_text()


async def test_members_join_and_leave_with_requests_in_flight(
    stage: ForwardStage, seed: random.Random
) -> None:
    """Rebalances in the middle of requests lose nothing."""
    stage.siem.splunk.script.add(Fault(delay=0.3, times=0))
    first = stage.start("--sink", "splunk")
    await first.logged("partitions assigned")
    for number in (signal.SIGTERM, signal.SIGKILL):
        await stage.produce(events(seed, 600))
        guest = stage.start("--sink", "splunk")
        await guest.logged("partitions assigned")
        await stage.produce(events(seed, 600))
        guest.signal(number)
        await guest.ended()
    await stage.drained("splunk")
    assert stage.arrived("splunk") == set(stage.journal.records)


async def test_refused_events_are_whole_in_the_dead_letters(
    stage: ForwardStage, seed: random.Random
) -> None:
    """Key, value and headers as they were, at the size limit too, and why; the others arrive."""
    large = event(seed, 1, reason="refuse-me " + "x" * 1_030_000)
    await stage.produce([large], headers=[("origin", b"gateway-7")], partition=0)
    await stage.produce(events(seed, 300))
    stage.siem.splunk.script.add(Fault(code=15, match="refuse-me", times=0))
    worker = stage.start("--sink", "splunk")
    await stage.drained("splunk")
    [letter] = await stage.dead_letters()
    assert letter.record.value == large
    assert letter.record.key == b"req-0"
    assert list(letter.record.headers) == [("origin", b"gateway-7")]
    assert (letter.record.partition, letter.record.offset) == (0, 0)
    assert (letter.refusal.sink, letter.refusal.status) == ("splunk", 400)
    assert stage.arrived("splunk") | {(0, 0)} == set(stage.journal.records)
    assert await worker.counted("sark_siem_dead_letters_total") == 1
    assert "refuse-me" not in worker.log.read_text()


async def test_killed_while_acknowledgements_are_awaited(
    kafka_bootstrap: str, topic_name: str, tmp_path: Path, seed: random.Random
) -> None:
    """What was accepted and not acknowledged is sent again by the next worker."""
    acking = SplunkSettings(ack=True)
    async with forward_stage(kafka_bootstrap, topic_name, tmp_path, acking) as stage:
        await stage.produce(events(seed, 1_000))
        stage.siem.splunk.script.add(Fault(on="ack", status=503, times=0))
        victim = stage.start("--sink", "splunk")
        await has_arrived(stage, "splunk", 1_000)
        victim.signal(signal.SIGKILL)
        assert sum((await stage.committed("splunk")).values()) == 0
        stage.siem.splunk.script.clear()
        stage.start("--sink", "splunk")
        await stage.drained("splunk")
        assert stage.arrived("splunk") == set(stage.journal.records)


async def test_set_up_wrongly_it_says_what_to_set(stage: ForwardStage) -> None:
    """No sink, an unknown one, or a time that is none: one sentence and exit code 2."""
    for arguments, words in (
        (["--sink", "elastic"], "there is no sink elastic"),
        (["--from", "yesterday"], "--from: write earliest"),
    ):
        worker = stage.start(*arguments)
        assert await worker.ended() == 2
        assert words in worker.log.read_text()
