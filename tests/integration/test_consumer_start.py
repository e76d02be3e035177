"""A consumer that cannot start says why, and leaves nothing open."""

from __future__ import annotations

import pytest

from ingest_service.adapters.kafka_consumer import AuditConsumer
from ingest_service.errors import BrokerUnavailableError, SetupError
from ingest_service.settings import KafkaSettings
from stack.state import free_port


async def test_unreachable_broker_names_address_reason_and_setting():
    """Whoever mistyped the address sees it, why it is none, and the variable that holds it."""
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(BrokerUnavailableError) as refusal:
        async with AuditConsumer(KafkaSettings(bootstrap_servers=address), "group"):
            pass
    assert f"{address}: connection refused" in str(refusal.value)
    assert "INGEST_KAFKA__BOOTSTRAP_SERVERS" in str(refusal.value)


@pytest.mark.kafka
async def test_missing_topic_says_how_to_make_it(kafka_bootstrap: str, topic_name: str):
    """A topic that is not there is not waited for, and not made by accident."""
    kafka = KafkaSettings(bootstrap_servers=kafka_bootstrap, topic=topic_name)
    for _ in range(2):
        with pytest.raises(SetupError, match="ingest-service topics create") as refusal:
            async with AuditConsumer(kafka, "group"):
                pass
        assert topic_name in str(refusal.value)
