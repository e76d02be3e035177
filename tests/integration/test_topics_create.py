"""`topics create` against a real broker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingest_service.adapters.kafka_admin import KafkaAdmin, NewTopic
from ingest_service.cli.topics import made_or_compared
from ingest_service.errors import SetupError
from ingest_service.preflight.finding import Verdict
from ingest_service.preflight.topics import dead_letter_topic, events_topic
from ingest_service.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.kafka


@pytest.fixture
async def admin(kafka_bootstrap: str) -> AsyncIterator[KafkaAdmin]:
    async with KafkaAdmin(KafkaSettings(bootstrap_servers=kafka_bootstrap)) as admin:
        yield admin


def wanted(name: str) -> list[NewTopic]:
    return [events_topic(name, 1, uncompressed=True), dead_letter_topic(f"{name}.dead", 1)]


async def test_topics_are_made_as_needed(admin: KafkaAdmin, topic_name: str) -> None:
    """The broker has each setting that was asked for; a second run compares and changes nothing."""
    first = await made_or_compared(admin, wanted(topic_name))
    assert all(finding.said.startswith("created: 6 partitions") for finding in first)
    found = await admin.describe([topic_name])
    settings = events_topic(topic_name, 1, uncompressed=True).settings
    assert settings.items() <= found[topic_name].settings.items()
    assert found[topic_name].partitions == 6
    assert found[topic_name].leaderless == []
    second = await made_or_compared(admin, wanted(topic_name))
    assert [finding.verdict for finding in second] == [Verdict.RIGHT, Verdict.RIGHT]
    assert not any(finding.said.startswith("created") for finding in second)


async def test_topic_that_differs_is_reported_and_left_alone(
    admin: KafkaAdmin, topic_name: str
) -> None:
    """What somebody set stays set: each difference is listed, the missing topic is made."""
    theirs = {"message.timestamp.type": "CreateTime", "retention.ms": "1000"}
    await admin.create([NewTopic(topic_name, 2, 1, theirs)])
    findings = await made_or_compared(admin, wanted(topic_name))
    said = {finding.said for finding in findings if finding.subject == f"topic {topic_name}"}
    assert {"2 partitions instead of 6", "message.timestamp.type=CreateTime"} <= said
    assert findings[-1].said.startswith("created")
    after = (await admin.describe([topic_name]))[topic_name]
    assert after.partitions == 2
    assert theirs.items() <= after.settings.items()


async def test_topic_made_by_somebody_else_meanwhile_is_no_error(
    admin: KafkaAdmin, topic_name: str
) -> None:
    """Two runs at once: the loser is told which topics were there already."""
    topics = wanted(topic_name)
    assert await admin.create(topics[:1]) == set()
    assert await admin.create(topics) == {topic_name}


async def test_topic_that_the_broker_refuses_is_said(admin: KafkaAdmin) -> None:
    """A name or a replication that cannot be is a fault of the set-up, in the broker's words."""
    with pytest.raises(SetupError, match="not/a/name"):
        await admin.create([NewTopic("not/a/name", 1, 1, {})])
    with pytest.raises(SetupError, match="replication"):
        await admin.create([NewTopic("too-many-copies", 1, 9, {})])


async def test_asking_for_a_topic_does_not_make_it(admin: KafkaAdmin, topic_name: str) -> None:
    """On a broker that makes topics by itself, a check must not be what makes one."""
    assert await admin.describe([topic_name]) == {}
    assert await admin.describe([topic_name]) == {}


async def test_group_that_nobody_joined_is_dead(admin: KafkaAdmin, topic_name: str) -> None:
    """A group can be asked for before its first member."""
    assert await admin.group(f"group-{topic_name}") == ("Dead", 0)


def command(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("INGEST_")}
    return subprocess.run(
        [Path(sys.executable).with_name("ingest-service"), *arguments],
        check=False,
        env=kept | settings,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_command_tells_a_machine_and_a_person(kafka_bootstrap: str, topic_name: str) -> None:
    """Made: 0, with JSON. Differing from what was asked: 1, a line each, nothing on stderr."""
    settings = {
        "INGEST_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "INGEST_KAFKA__TOPIC": topic_name,
        "INGEST_KAFKA__DEAD_LETTER_TOPIC": f"{topic_name}.dead",
    }
    made = command("topics", "create", "--partitions", "3", "--json", **settings)
    assert made.returncode == 0
    assert {f["verdict"] for f in json.loads(made.stdout)} == {"right"}
    differs = command("topics", "create", **settings)
    assert differs.returncode == 1
    assert differs.stdout.startswith(f"! topic {topic_name}: 3 partitions instead of 6 → ")
    assert (made.stderr, differs.stderr) == ("", "")


def test_check_warns_without_failing(kafka_bootstrap: str, topic_name: str) -> None:
    """Fewer partitions work: the topic's line is a warning; the missing database decides the code."""
    settings = {
        "INGEST_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "INGEST_KAFKA__TOPIC": topic_name,
        "INGEST_KAFKA__DEAD_LETTER_TOPIC": f"{topic_name}.dead",
    }
    command("topics", "create", "--partitions", "3", **settings)
    done = command("check", **settings)
    marks = [line[0] for line in done.stdout.splitlines()]
    assert marks == ["✓", "!", "!", "✓", "✗"]
    assert done.returncode == 1
