"""Is everything there, reachable, allowed and set up right? Asked of the real servers."""

import asyncio
import time
from collections.abc import Sequence
from itertools import chain

from ingest_service.adapters.database_check import survey
from ingest_service.adapters.kafka_admin import KafkaAdmin
from ingest_service.adapters.migrations import newest_revision
from ingest_service.dsn import masked
from ingest_service.errors import IngestError, SetupError
from ingest_service.preflight import database, topics
from ingest_service.preflight.finding import Finding, right, wrong
from ingest_service.preflight.sinks import check_sinks, enabled
from ingest_service.settings import KafkaSettings, Settings


async def check(settings: Settings, *, send_event: bool = False) -> Sequence[Finding]:
    """Return a finding for each thing that the service needs; never raises for what it finds.

    With `send_event` a sink may be sent an event where nothing less can tell.
    """
    found = await asyncio.gather(
        _check_kafka(settings.kafka, enabled(settings)),
        _check_database(settings),
        check_sinks(settings, send_event=send_event),
    )
    return list(chain.from_iterable(found))


async def _check_kafka(kafka: KafkaSettings, sinks: Sequence[str]) -> list[Finding]:
    groups = [kafka.persister_group, *(kafka.forwarder_group(sink) for sink in sinks)]
    try:
        async with KafkaAdmin(kafka) as admin:
            started = time.monotonic()
            brokers = await admin.brokers()
            took = time.monotonic() - started
            reached = right("Kafka", f"brokers: {brokers}, answered in {took * 1000:.0f} ms")
            return [
                reached,
                *await _check_topics(admin, kafka, brokers),
                *[await _check_group(admin, group) for group in groups],
            ]
    except IngestError as exc:
        return [wrong("Kafka", str(exc), "start the broker, or change INGEST_KAFKA__...")]


async def _check_topics(admin: KafkaAdmin, kafka: KafkaSettings, brokers: int) -> list[Finding]:
    wanted = [
        topics.events_topic(kafka.topic, brokers),
        topics.dead_letter_topic(kafka.dead_letter_topic, brokers),
    ]
    found = await admin.describe([topic.name for topic in wanted])
    return [finding for topic in wanted for finding in topics.compare(topic, found.get(topic.name))]


async def _check_group(admin: KafkaAdmin, group: str) -> Finding:
    subject = f"consumer group {group}"
    try:
        state, members = await admin.group(group)
    except IngestError as exc:
        return wrong(subject, str(exc), "allow Read and Describe on the group")
    # Kafka's word for a group that nobody has joined yet.
    return right(subject, "not used yet" if state == "Dead" else f"{state}, members: {members}")


async def _check_database(settings: Settings) -> list[Finding]:
    subject = "database"
    try:
        dsn = settings.require_dsn()
    except SetupError as exc:
        return [wrong(subject, str(exc), "set it")]
    try:
        found = await survey(dsn)
    except SetupError as exc:
        return [wrong(subject, f"{masked(dsn)}: {exc}", "change INGEST_DATABASE__DSN")]
    except IngestError as exc:
        return [wrong(subject, f"{masked(dsn)}: {exc}", "start it, or change INGEST_DATABASE__DSN")]
    reached = right(subject, f"{masked(dsn)}, answered in {found.latency_seconds * 1000:.0f} ms")
    return [reached, *database.judge(found, newest_revision())]
