"""What workers log, as a machine reads it: lines of JSON, fixed names, nothing of an event."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from siem import Fault
from stage.forwarding import forward_stage
from stage.journal import events

if TYPE_CHECKING:
    import random

    from stage import Stage, Worker

pytestmark = [pytest.mark.kafka, pytest.mark.e2e]

PAGE = (Path(__file__).parents[2] / "docs" / "logs.md").read_text(encoding="utf-8")
ALWAYS = {"time", "level", "event", "logger"}
CANARY = "canary-7f3a"


def assert_as_documented(worker: Worker) -> None:
    """Each line is JSON with the fields that are always there, and ours have names of the page."""
    names = set(re.findall(r"^\| `(.+?)` \|", PAGE, re.MULTILINE))
    lines = worker.lines()
    assert len(lines) == len(worker.log.read_text().splitlines()), worker.tail()
    for line in lines:
        assert line.keys() >= ALWAYS
        if str(line["logger"]).startswith("ingest_service"):
            assert line["event"] in names


@pytest.mark.database
async def test_level_changes_while_a_persister_runs(
    stage: Stage, tmp_path: Path, seed: random.Random
) -> None:
    """SIGHUP takes the level from its file, twice, and costs no event."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    worker = stage.start_worker(INGEST_SECRETS_DIR=str(secrets))
    await stage.produce(events(seed, 20))
    await stage.drained()
    assert '"level":"debug"' not in worker.log.read_text()
    (secrets / "INGEST_LOG__LEVEL").write_text("debug\n")
    worker.signal(signal.SIGHUP)
    await worker.logged('"to_level":"debug","source":"secrets directory"')
    await stage.produce(events(seed, 20))
    await worker.logged('"batch written"')
    await stage.drained()
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    assert_as_documented(worker)


@pytest.mark.database
async def test_end_that_nobody_asked_for_is_a_line_too(stage: Stage) -> None:
    """A worker that cannot work says so in the log's own format, with its exit code."""
    worker = stage.start_worker(INGEST_KAFKA__TOPIC="no-such-topic")
    assert await worker.ended() == 2
    assert_as_documented(worker)
    last = worker.lines()[-1]
    assert (last["event"], last["level"], last["exit_code"]) == ("worker ended", "critical", 2)
    assert "ingest-service topics create" in str(last["why"])


async def test_forwarder_tells_where_an_event_is_and_nothing_of_it(
    kafka_bootstrap: str, topic_name: str, tmp_path: Path, seed: random.Random
) -> None:
    """A refused event's place and request id are logged; its content, and an id that is none, not."""
    async with forward_stage(kafka_bootstrap, topic_name, tmp_path) as stage:
        stage.siem.splunk.script.add(Fault(code=15, match=CANARY, times=0))
        refused = [value.replace(b"search", CANARY.encode()) for value in events(seed, 1)]
        worker = stage.start("--sink", "splunk", INGEST_LOG__LEVEL="debug")
        await stage.produce(refused, partition=0)
        await stage.produce(events(seed, 40))
        await stage.drained("splunk")
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0
        assert_as_documented(worker)
        text = worker.log.read_text()
        assert CANARY not in text
        assert "local-splunk-token" not in text
        assert '"request answered"' in text
        [line] = [line for line in worker.lines() if line["event"] == "event dead-lettered"]
        assert (line["sink"], line["partition"], line["offset"]) == ("splunk", 0, 0)
        assert line["request_id"] == "req-0"
