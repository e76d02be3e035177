"""How long Kafka keeps a record is asked of the broker."""

from __future__ import annotations

import pytest

from ingest_service.adapters.kafka_admin import KafkaAdmin, NewTopic
from ingest_service.adapters.kafka_retention import retention_seconds
from ingest_service.settings import KafkaSettings

pytestmark = pytest.mark.kafka


@pytest.mark.parametrize(("retention_ms", "seconds"), [("3600000", 3600.0), ("-1", None)])
async def test_retention_is_the_topics(
    kafka_bootstrap: str, topic_name: str, retention_ms: str, seconds: float | None
):
    """Its own setting, in seconds; for ever is no number."""
    kafka = KafkaSettings(bootstrap_servers=kafka_bootstrap, topic=topic_name)
    async with KafkaAdmin(kafka) as admin:
        await admin.create([NewTopic(topic_name, 1, 1, {"retention.ms": retention_ms})])
    assert await retention_seconds(kafka) == seconds


async def test_topic_that_is_not_there_keeps_nothing(kafka_bootstrap: str, topic_name: str):
    """There is nothing to say of it, and asking does not make it."""
    kafka = KafkaSettings(bootstrap_servers=kafka_bootstrap, topic=topic_name)
    assert await retention_seconds(kafka) is None
    async with KafkaAdmin(kafka) as admin:
        assert not await admin.describe([topic_name])
