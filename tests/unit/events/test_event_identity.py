"""Audit ids: kept when sent, the same on every replay when derived."""

from __future__ import annotations

import time
from uuid import UUID

import pytest

from given_events import GOOD, ID, KAFKA_MS, event, event_without
from ingest_service.events.decode import decode
from ingest_service.events.identity import new_event_id
from ingest_service.events.record import Row, StoredRecord


def id_of(given: StoredRecord) -> str:
    verdict = decode(given)
    assert isinstance(verdict, Row)
    return verdict.id


@pytest.mark.parametrize("sent", [ID, ID.upper(), "00000000-0000-0000-0000-000000000000"])
def test_sent_id_is_stored_in_lower_case(sent: str) -> None:
    """An id of any UUID version is the publisher's choice; two spellings are one id."""
    assert id_of(event(id=sent)) == sent.lower()


def test_derived_id_is_a_uuid7_of_kafka_time() -> None:
    """An id that had to be made is ordered by the time at which Kafka got the record."""
    made = UUID(id_of(event_without("id")))
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == KAFKA_MS


def test_derived_id_never_changes() -> None:
    """The id of a record is the same in every release: replay and verify depend on it."""
    assert id_of(event_without("id")) == "018bcfe5-69f4-7a64-9299-f1bd025146b5"
    assert id_of(event(id=None)) == id_of(event_without("id"))


def test_derived_id_is_the_place_in_the_log() -> None:
    """Records at different places differ, also where topic and numbers spell alike."""
    given = event_without("id")
    places = [("t", 1, 11), ("t", 11, 1), ("t:1", 1, 1), ("t", 1, 1), ("t1", 1, 1), ("t", 1, 12)]
    ids = {id_of(given._replace(topic=t, partition=p, offset=o)) for t, p, o in places}
    assert len(ids) == len(places)
    assert id_of(given._replace(value=event(id=None, reason="other").value)) == id_of(given)


@pytest.mark.parametrize("kafka_ms", [0, 999, 2**36])
def test_derived_id_exists_for_odd_kafka_times(kafka_ms: int) -> None:
    """A broker's odd clock makes an odd time in the id, and no exception."""
    given = event(id=None, timestamp=kafka_ms // 1_000)._replace(timestamp=kafka_ms)
    assert UUID(id_of(given)).int >> 80 == kafka_ms


def test_new_ids_are_fresh_and_ordered() -> None:
    """Ids made by a publisher differ and carry its time."""
    before = time.time_ns() // 1_000_000
    first, second = new_event_id(), new_event_id()
    assert first != second
    assert before <= first.int >> 80 <= time.time_ns() // 1_000_000
    assert (first.version, first.variant) == (7, "specified in RFC 4122")
    assert GOOD["id"] == str(UUID(GOOD["id"]))
