"""What a worker asks the database and Kafka for, so that metrics can show it."""

from contextlib import AbstractAsyncContextManager
from typing import Final

from prometheus_client import CollectorRegistry

from ingest_service.adapters.kafka_retention import retention_seconds
from ingest_service.adapters.storage import ANSWER_SECONDS, StorageFigures
from ingest_service.settings import KafkaSettings, Settings
from ingest_service.telemetry.asking import Question, asking
from ingest_service.telemetry.proof_metrics import ProofMetrics
from ingest_service.telemetry.storage_metrics import StorageMetrics
from ingest_service.telemetry.topic_metrics import TopicMetrics

_STORAGE_EVERY_SECONDS: Final = 60.0
_RETENTION_EVERY_SECONDS: Final = 300.0
_RETENTION_WITHIN_SECONDS: Final = 30.0


def persister_figures(
    settings: Settings, metrics: TopicMetrics, registry: CollectorRegistry
) -> AbstractAsyncContextManager[None]:
    """Show how large the audit is, how many use the gateway, what was proved, and retention."""
    figures = StorageFigures(settings.require_dsn())
    proofs = ProofMetrics(registry)
    shown = StorageMetrics(registry, settings.database.capacity_bytes)

    async def show_storage() -> None:
        shown.storage(await figures.storage())

    async def show_users() -> None:
        shown.unique_users(await figures.unique_users())

    async def show_proof() -> None:
        proofs.show(await figures.proof())

    return asking(
        Question("storage", show_storage, _STORAGE_EVERY_SECONDS, ANSWER_SECONDS),
        Question("proof", show_proof, _STORAGE_EVERY_SECONDS, ANSWER_SECONDS),
        Question("unique users", show_users, _STORAGE_EVERY_SECONDS, ANSWER_SECONDS),
        _retention(settings.kafka, metrics),
    )


def forwarder_figures(
    settings: Settings, metrics: TopicMetrics
) -> AbstractAsyncContextManager[None]:
    """Show the topic's retention: how long a sink that is away can be waited for."""
    return asking(_retention(settings.kafka, metrics))


def _retention(kafka: KafkaSettings, metrics: TopicMetrics) -> Question:
    async def show() -> None:
        metrics.topic_retention(kafka.topic, await retention_seconds(kafka))

    return Question("retention", show, _RETENTION_EVERY_SECONDS, _RETENTION_WITHIN_SECONDS)
