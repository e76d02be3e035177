"""`ingest-service publish` as a person and as a script use it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from publishing.kafka import make_topic, read_topic

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.kafka]

COMMAND = [sys.executable, "-W", "error", "-m", "ingest_service", "publish"]


def line(number: int, **fields: Any) -> str:
    ordinary = {
        "event_type": "tool_invoke",
        "decision": "deny",
        "reason": f"reason {number}",
        "timestamp": round(time.time(), 3),
        "gateway_request_id": f"req-{number}",
    }
    return json.dumps(ordinary | fields)


class Publish:
    """Runs the command against one topic."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.bootstrap, self.topic = bootstrap, topic
        self.environment = os.environ | {
            "INGEST_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
            "INGEST_KAFKA__TOPIC": topic,
        }

    def __call__(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def stored(self) -> list[dict[str, Any]]:
        return [json.loads(one.value) for one in await read_topic(self.bootstrap, self.topic)]


@pytest.fixture
async def publish(kafka_bootstrap: str, topic_name: str) -> Publish:
    await make_topic(kafka_bootstrap, topic_name)
    return Publish(kafka_bootstrap, topic_name)


async def test_a_file_is_published_whole(publish: Publish, tmp_path: Path) -> None:
    """Exit code 0 means that every line is in Kafka."""
    file = tmp_path / "events.jsonl"
    file.write_text("".join(line(number) + "\n" for number in range(300)))
    done = publish(str(file), "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["read"], summary["recorded"], summary["settled_up_to_line"]) == (300, 300, 300)
    assert len(await publish.stored()) == 300


async def test_publishing_a_file_again_makes_no_new_ids(publish: Publish, tmp_path: Path) -> None:
    """Whoever repeats a file after a failure repeats its ids, so each line is one row."""
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(line(number) for number in range(5)))
    assert publish(str(file)).returncode == 0
    assert publish(str(file)).returncode == 0
    ids = [event["id"] for event in await publish.stored()]
    assert (len(ids), len(set(ids))) == (10, 5)


async def test_refused_lines_are_named_and_the_others_recorded(publish: Publish) -> None:
    """Line number and reason on standard error, never the content; exit code 1."""
    given = "\n".join([line(1), "topsecret", "", line(2, decision="topsecret"), line(3)])
    done = publish("-", given=given)
    assert done.returncode == 1
    assert "line 2: not_json" in done.stderr
    assert "line 4: bad_decision" in done.stderr
    assert "topsecret" not in done.stderr + done.stdout
    assert "2 of 4 events recorded" in done.stdout
    reasons = {event["reason"] for event in await publish.stored()}
    assert reasons == {"reason 1", "reason 3"}


@pytest.mark.parametrize(
    "arguments", [(), ("-", "--sample", "3"), ("--sample", "0"), ("--rate", "0"), ("/no/such",)]
)
async def test_wrong_use_is_exit_code_2(publish: Publish, arguments: tuple[str, ...]) -> None:
    """A mistake on the command line is told, without a traceback."""
    done = publish(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


async def test_samples_come_in_the_number_asked_for(publish: Publish) -> None:
    """Made-up events are events like any other, and the summary counts them."""
    done = publish("--sample", "2000", "--seed", "1")
    assert done.returncode == 0, done.stderr
    stored = await publish.stored()
    assert len({event["id"] for event in stored}) == 2000
    kinds = {event["event_type"] for event in stored}
    assert kinds == {"tool_invoke", "a2a_communication", "discovery", "telemetry"}


async def test_ctrl_c_ends_a_pipe_and_says_how_far_it_got(publish: Publish) -> None:
    """What was read is recorded before it ends, and the summary names the last line."""
    running = publish.start("-")
    assert running.stdin is not None
    running.stdin.write(line(1) + "\n" + line(2) + "\n")
    running.stdin.flush()
    deadline = time.monotonic() + 30
    while len(await publish.stored()) < 2:
        assert time.monotonic() < deadline
    running.send_signal(signal.SIGINT)
    output, errors = running.communicate(timeout=30)
    assert running.returncode == 130, errors
    assert "stopped: 2 of 2 events recorded" in output
    assert "every line up to 2 is recorded or refused" in output


async def test_a_rate_without_number_runs_until_sigterm(publish: Publish) -> None:
    """A demonstration ends when it is told to: that is no failure."""
    running = publish.start("--rate", "200", "--json")
    deadline = time.monotonic() + 30
    while not await publish.stored():
        assert time.monotonic() < deadline
    running.send_signal(signal.SIGTERM)
    output, errors = running.communicate(timeout=30)
    assert running.returncode == 0, errors
    summary = json.loads(output)
    assert summary["interrupted"] is True
    assert summary["recorded"] == summary["read"] == len(await publish.stored())


async def test_a_missing_topic_is_said_and_not_made(kafka_bootstrap: str) -> None:
    """A topic that `topics create` did not make is a mistake in the set-up; exit code 2."""
    done = Publish(kafka_bootstrap, "no.such.topic")("--sample", "5")
    assert done.returncode == 2
    assert "the topic no.such.topic does not exist: run `ingest-service topics create`" in (
        done.stderr
    )


async def test_an_unreachable_broker_is_one_message(topic_name: str) -> None:
    """Nothing is sent, nothing is shown but what is wrong and where; exit code 1."""
    done = Publish("127.0.0.1:1", topic_name)("--sample", "5")
    assert done.returncode == 1
    assert "nothing was published" in done.stderr
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
