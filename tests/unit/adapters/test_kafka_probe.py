"""What the leaders' answers mean: which partitions cannot be read now."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from aiokafka import errors as kafka_errors

from ingest_service.adapters.kafka_probe import _judged, _Layout, _read
from ingest_service.errors import BrokerUnavailableError
from ingest_service.telemetry.health import Status
from ingest_service.telemetry.probing import Answer

A, B, C = ("a", 1), ("b", 2), ("c", 3)


class Metadata(NamedTuple):
    brokers: list[tuple]
    topics: list[tuple]


def test_leader_that_is_silent_degrades() -> None:
    """It is named, with what it leads; a broker that leads nothing is nobody's loss."""
    layout = _Layout({A: [0, 2], B: [1, 3]}, [])
    assert _judged(layout, {}) == Answer()
    assert _judged(layout, {C: TimeoutError()}) == Answer()
    for silence in (TimeoutError(), kafka_errors.RequestTimedOutError()):
        found = _judged(layout, {B: silence, C: TimeoutError()})
        assert found == Answer(
            Status.DEGRADED, "b:2: no answer within 2.4 s and leads partitions 1, 3"
        )


def test_partition_without_a_leader_degrades() -> None:
    """Nobody answers for it, and everybody answers."""
    assert _judged(_Layout({A: [0]}, [1, 2]), {}) == Answer(
        Status.DEGRADED, "nobody leads partitions 1, 2"
    )


def test_answer_is_read_by_leader() -> None:
    """A leader that the answer does not name as a broker is none."""
    metadata = Metadata(
        [(7, "a", 1, None), (8, "b", 2, None)],
        [(0, "t", False, [(0, 0, 7, [7], [7]), (0, 1, 8, [8], [8]), (5, 2, -1, [7], [])])],
    )
    assert _read(metadata) == _Layout({A: [0], B: [1]}, [2])


def test_topic_that_may_not_be_seen_is_no_healthy_kafka() -> None:
    """The broker's own word for it is told."""
    with pytest.raises(BrokerUnavailableError, match="TopicAuthorizationFailed"):
        _read(Metadata([(7, "a", 1, None)], [(29, "t", False, [])]))
