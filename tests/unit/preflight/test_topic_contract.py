from __future__ import annotations

from typing import Any

import pytest

from ingest_service.adapters.kafka_admin import NewTopic, TopicState
from ingest_service.preflight.finding import Verdict
from ingest_service.preflight.topics import compare, dead_letter_topic, events_topic

DAY_MS = 24 * 3600 * 1000


def made(topic: NewTopic, **changes: Any) -> TopicState:
    """Return the state of a topic that was made as wanted, but for these changes."""
    return TopicState(topic.partitions, topic.replication, [], topic.settings)._replace(**changes)


def test_events_topic_is_as_promised() -> None:
    """Three copies, two of them acknowledged, a week, the broker's time, room for an event."""
    topic = events_topic("events", brokers=5)
    assert (topic.partitions, topic.replication) == (6, 3)
    assert topic.settings == {
        "cleanup.policy": "delete",
        "max.message.bytes": str(1024 * 1024 + 64 * 1024),
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": "2",
        "retention.bytes": "-1",
        "retention.ms": str(7 * DAY_MS),
        "unclean.leader.election.enable": "false",
    }


def test_dead_letters_have_room_and_time() -> None:
    """A record at the limit fits together with why it was refused, for a quarter."""
    settings = dead_letter_topic("dead", brokers=3).settings
    assert settings["max.message.bytes"] == str(2 * 1024 * 1024)
    assert settings["retention.ms"] == str(90 * DAY_MS)


@pytest.mark.parametrize(
    ("brokers", "replication", "insync"), [(1, 1, "1"), (2, 2, "2"), (3, 3, "2"), (9, 3, "2")]
)
def test_copies_follow_the_cluster(brokers: int, replication: int, insync: str) -> None:
    """As many copies as there are brokers, up to three; never more acknowledgements than copies."""
    topic = events_topic("events", brokers)
    assert topic.replication == replication
    assert topic.settings["min.insync.replicas"] == insync


def test_topic_as_made_is_right() -> None:
    """What `topics create` makes, `check` calls right."""
    for topic in (events_topic("e", 3, uncompressed=True), dead_letter_topic("d", 1)):
        [finding] = compare(topic, made(topic))
        assert finding.verdict is Verdict.RIGHT


def test_missing_topic_says_what_to_run() -> None:
    """A topic that is not there names the command that makes it."""
    [finding] = compare(events_topic("events", 3), None)
    assert finding.verdict is Verdict.WRONG
    assert "topics create" in finding.advice


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("cleanup.policy", "compact", Verdict.WRONG),
        ("cleanup.policy", "compact,delete", Verdict.WRONG),
        ("max.message.bytes", "1048576", Verdict.WRONG),
        ("message.timestamp.type", "CreateTime", Verdict.WRONG),
        ("min.insync.replicas", "1", Verdict.WRONG),
        ("retention.bytes", "1073741824", Verdict.WARNING),
        ("retention.ms", str(6 * DAY_MS), Verdict.WARNING),
        ("unclean.leader.election.enable", "true", Verdict.WRONG),
    ],
)
def test_setting_that_differs_is_named(name: str, value: str, verdict: Verdict) -> None:
    """Each setting that could lose or change an event is named with its value and the right one."""
    topic = events_topic("events", 3)
    [finding] = compare(topic, made(topic, settings={**topic.settings, name: value}))
    assert finding.verdict is verdict
    assert finding.said == f"{name}={value}"
    assert topic.settings[name] in finding.advice


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retention.ms", "-1"),
        ("retention.ms", str(90 * DAY_MS)),
        ("max.message.bytes", "2097152"),
        ("min.insync.replicas", "3"),
    ],
)
def test_more_than_needed_is_right(name: str, value: str) -> None:
    """Keeping longer, taking more and asking more brokers harm nothing."""
    topic = events_topic("events", 3)
    [finding] = compare(topic, made(topic, settings={**topic.settings, name: value}))
    assert finding.verdict is Verdict.RIGHT


@pytest.mark.parametrize(
    ("changes", "verdict", "said"),
    [
        ({"leaderless": [2, 4]}, Verdict.WRONG, "no leader for partition 2, 4"),
        ({"partitions": 3}, Verdict.WARNING, "3 partitions"),
        ({"replication": 2}, Verdict.WARNING, "replication 2"),
        ({"settings": {}}, Verdict.WARNING, "cannot be read"),
    ],
)
def test_placement_that_differs_is_named(changes: dict, verdict: Verdict, said: str) -> None:
    """Partitions without a leader, and fewer of them or of copies than wanted, are named."""
    topic = events_topic("events", 3)
    findings = compare(topic, made(topic, **changes))
    assert {finding.verdict for finding in findings} == {verdict}
    assert said in findings[0].said


def test_unwritable_topic_is_wrong() -> None:
    """More acknowledgements than copies can never be given."""
    topic = events_topic("events", 3)
    findings = compare(topic, made(topic, replication=1))
    assert any("nothing can be published" in finding.advice for finding in findings)


def test_compression_is_judged_only_when_asked() -> None:
    """Compressed topics are fine, unless the operator chose against them."""
    compressed = {**events_topic("e", 3).settings, "compression.type": "producer"}
    plain, strict = events_topic("e", 3), events_topic("e", 3, uncompressed=True)
    assert compare(plain, made(plain, settings=compressed))[0].verdict is Verdict.RIGHT
    assert compare(strict, made(strict, settings=compressed))[0].said == "compression.type=producer"
