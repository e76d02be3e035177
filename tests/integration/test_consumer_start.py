"""A consumer that cannot start says why, and leaves nothing open."""

from __future__ import annotations

import pytest
from aiokafka.errors import LeaderNotAvailableError

from ingest_service.adapters.kafka_consumer import AuditConsumer
from ingest_service.errors import BrokerUnavailableError, SetupError
from ingest_service.settings import KafkaSettings
from publishing.kafka import make_topic
from stack.state import free_port
from waiting import until


async def test_unreachable_broker_names_address_reason_and_setting():
    """Whoever mistyped the address sees it, why it is none, and the variable that holds it."""
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(BrokerUnavailableError) as refusal:
        async with AuditConsumer(KafkaSettings(bootstrap_servers=address), "group"):
            pass
    assert f"{address}: connection refused" in str(refusal.value)
    assert "INGEST_KAFKA__BOOTSTRAP_SERVERS" in str(refusal.value)


@pytest.mark.kafka
async def test_partition_that_nobody_answers_for_hides_no_other(
    kafka_bootstrap: str, topic_name: str, monkeypatch: pytest.MonkeyPatch
):
    """Its end is unknown, and the others' are told; with no answer at all the broker is away."""
    await make_topic(kafka_bootstrap, topic_name)
    kafka = KafkaSettings(bootstrap_servers=kafka_bootstrap, topic=topic_name)
    async with AuditConsumer(kafka, topic_name) as consumer:
        await until(lambda: consumer.assigned)
        ask, silent = consumer._consumer.end_offsets, {1}

        async def end_offsets(asked: list) -> dict:
            if silent & {position.partition for position in asked}:
                raise LeaderNotAvailableError
            return await ask(asked)

        monkeypatch.setattr(consumer._consumer, "end_offsets", end_offsets)
        assert await consumer.ends() == {0: 0, 1: None, 2: 0}
        silent |= {0, 2}
        with pytest.raises(BrokerUnavailableError, match="LeaderNotAvailable"):
            await consumer.ends()


@pytest.mark.kafka
async def test_missing_topic_says_how_to_make_it(kafka_bootstrap: str, topic_name: str):
    """A topic that is not there is not waited for, and not made by accident."""
    kafka = KafkaSettings(bootstrap_servers=kafka_bootstrap, topic=topic_name)
    for _ in range(2):
        with pytest.raises(SetupError, match="ingest-service topics create") as refusal:
            async with AuditConsumer(kafka, "group"):
                pass
        assert topic_name in str(refusal.value)
