"""How long Kafka keeps a record of a topic."""

from ingest_service.adapters.kafka_admin import KafkaAdmin
from ingest_service.settings import KafkaSettings


async def retention_seconds(kafka: KafkaSettings) -> float | None:
    """Return the topic's retention; None when it keeps for ever, or may not be asked.

    Raises `BrokerUnavailableError` or `SetupError`.
    """
    async with KafkaAdmin(kafka) as admin:
        topic = (await admin.describe([kafka.topic])).get(kafka.topic)
    retention_ms = int(topic.settings.get("retention.ms", -1)) if topic else -1
    return retention_ms / 1000 if retention_ms >= 0 else None
