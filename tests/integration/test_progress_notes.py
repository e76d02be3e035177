"""Real workers note until when everything is complete, and how far the sinks are."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from ingest_service.adapters.kafka_admin import KafkaAdmin, NewTopic
from ingest_service.adapters.kafka_offsets import sink_offsets
from ingest_service.adapters.migrations import Step, migrate
from ingest_service.adapters.progress_notes import ProgressNotes
from ingest_service.errors import DatabaseUnavailableError, SetupError
from ingest_service.settings import KafkaSettings
from schema import COMPLIANCE, connected
from stage import on_stage, until
from stage.journal import events

if TYPE_CHECKING:
    import random
    from pathlib import Path

pytestmark = pytest.mark.database

QUICKLY = json.dumps(
    {
        "ingest_service.persist.progress._EVERY_SECONDS": 0.2,
        "ingest_service.persist.progress._SINKS_EVERY_SECONDS": 0.2,
    }
)


async def commit(bootstrap: str, group: str, topic: str, offsets: dict[int, int]) -> None:
    """Commit as a forwarder does."""
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False
    ) as consumer:
        places = {TopicPartition(topic, partition): offset for partition, offset in offsets.items()}
        consumer.assign(list(places))
        await consumer.commit(places)


@pytest.mark.e2e
@pytest.mark.kafka
async def test_worker_notes_what_is_complete(
    kafka_bootstrap: str, database_dsn: str, topic_name: str, tmp_path: Path, seed: random.Random
):
    """All partitions, quiet ones too, are complete until after the last record; sinks show."""
    async with (
        on_stage(kafka_bootstrap, topic_name, database_dsn, tmp_path) as stage,
        connected(database_dsn, COMPLIANCE) as auditor,
    ):
        await stage.produce(events(seed, 50))
        produced_at = await auditor.fetchval("select clock_timestamp()")
        await commit(kafka_bootstrap, f"{topic_name}-forwarder.splunk", topic_name, {0: 1, 2: 0})
        stage.start_worker(STAGE_CONSTANTS=QUICKLY)
        await stage.drained()

        async def is_complete() -> bool:
            complete = await auditor.fetchval(
                "select complete_until + interval '1 minute' from audit_complete_until"
                " where topic = $1",
                topic_name,
            )
            return complete is not None and complete > produced_at

        async def shows_sinks() -> bool:
            return await auditor.fetchval("select count(*) from audit_sink_progress") == 2

        await until(is_complete, what="complete behind the last record")
        await until(shows_sinks, what="sinks are noted")
        sinks = await auditor.fetch(
            "select sink, partition, passed_before, next_offset - waiting as passed"
            " from audit_sink_progress order by partition"
        )
    assert [tuple(row) for row in sinks] == [("splunk", 0, 1, 1), ("splunk", 2, 0, 0)]


@pytest.mark.kafka
async def test_sinks_are_known_by_their_groups(kafka_bootstrap: str, topic_name: str):
    """Every group of a forwarder counts, also one that is not on here; others do not."""
    kafka = KafkaSettings(
        bootstrap_servers=kafka_bootstrap, topic=topic_name, group_prefix=topic_name
    )
    another = f"{topic_name}.another"
    async with KafkaAdmin(kafka) as admin:
        await admin.create([NewTopic(name, 2, 1, {}) for name in (topic_name, another)])
    assert await sink_offsets(kafka) == {}
    await commit(kafka_bootstrap, kafka.forwarder_group("splunk"), topic_name, {0: 3, 1: 4})
    await commit(kafka_bootstrap, kafka.forwarder_group("new"), topic_name, {0: 9})
    await commit(kafka_bootstrap, kafka.forwarder_group("new"), another, {0: 1})
    await commit(kafka_bootstrap, kafka.persister_group, topic_name, {0: 5})
    assert await sink_offsets(kafka) == {("new", 0): 9, ("splunk", 0): 3, ("splunk", 1): 4}


async def test_broken_connection_is_opened_again(database_dsn: str):
    """A session that the server ends costs one note, not the next."""
    await migrate(database_dsn)
    async with ProgressNotes(database_dsn) as notes, connected(database_dsn) as owner:
        first = await notes.clock()
        await owner.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'ingest-service progress' and datname = current_database()"
        )
        with suppress(DatabaseUnavailableError):  # unless it is noticed before the question
            await notes.clock()
        assert await notes.clock() - first < timedelta(minutes=5)


async def test_schema_of_before_is_told(database_dsn: str):
    """Before the migration nothing can be noted; the message says what to run."""
    await migrate(database_dsn, Step("0001"))
    async with ProgressNotes(database_dsn) as notes:
        with pytest.raises(SetupError, match="ingest-service migrate"):
            await notes.note("t", await notes.clock(), 1, {0: 0})
        with pytest.raises(SetupError, match="ingest-service migrate"):
            await notes.note_sinks("t", {("splunk", 0): 1})


async def test_clock_that_went_back_is_outlived(database_dsn: str):
    """A failover to a server whose clock is behind costs notes until it has caught up, no worker."""
    await migrate(database_dsn)
    async with ProgressNotes(database_dsn) as notes:
        ahead = await notes.clock() + timedelta(minutes=5)
        with pytest.raises(DatabaseUnavailableError, match="22008"):
            await notes.note("t", ahead, 1, {0: 0})
        assert await notes.clock() < ahead


async def test_unreachable_database_is_unavailable(unused_tcp_port: int):
    """Nobody listening is a matter of waiting; a DSN that is none is not."""
    async with ProgressNotes(f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/nowhere") as notes:
        with pytest.raises(DatabaseUnavailableError):
            await notes.clock()
    async with ProgressNotes("hunter2") as notes:
        with pytest.raises(SetupError, match="INGEST_DATABASE__DSN"):
            await notes.clock()
