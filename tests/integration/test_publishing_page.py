"""The page for gateway writers tells the truth: its example runs, its numbers are the code's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ingest_service.adapters.kafka_producer import MAX_REQUEST_BYTES
from ingest_service.telemetry.metrics_labels import LATENCY_SECONDS
from publishing.kafka import make_topic, read_topic

PAGE = (Path(__file__).parents[2] / "docs" / "publishing.md").read_text()


def run(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.kafka
async def test_the_example_publishes_an_event(kafka_bootstrap: str, topic_name: str) -> None:
    """What a gateway's author copies from the page works, and the event is in Kafka."""
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    await make_topic(kafka_bootstrap, topic_name)
    environment = os.environ | {
        "INGEST_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "INGEST_KAFKA__TOPIC": topic_name,
    }
    done = run(example, environment)
    assert done.returncode == 0, done.stderr
    records = [json.loads(one.value) for one in await read_topic(kafka_bootstrap, topic_name)]
    decision = next(one for one in records if one["decision"] == "allow")
    assert done.stdout == f"recorded: {decision['id']}\n"
    counted = next(one for one in records if one["event_type"] == "telemetry")
    assert counted["metadata"]["telemetry"]["counters"][0]["name"] == "authorizations"


def test_the_numbers_on_the_page_are_those_in_the_code() -> None:
    """Sizes and bounds that others copy into their settings do not drift."""
    assert f"{MAX_REQUEST_BYTES:,}" in PAGE
    assert json.dumps(LATENCY_SECONDS) in PAGE
