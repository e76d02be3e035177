"""Every expression of rules, alerts and dashboards, asked of a real Prometheus on real workers."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from ingest_service.publisher import AuditPublisher, GatewayAuditEvent
from ingest_service.settings import KafkaSettings
from stack.state import LOOPBACK
from stage.pipeline import pipeline
from stage.prometheus import scraping
from stage.silent import asked, silent
from stage.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from stage.pipeline import Pipeline

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.kafka,
    pytest.mark.database,
    pytest.mark.timeout(300),
]
# What is asked once a minute in production; twice makes a trend.
OFTEN = json.dumps({"ingest_service.figures._STORAGE_EVERY_SECONDS": 2})


async def test_every_query_of_a_healthy_system_is_answered(
    kafka_bootstrap: str,
    topic_name: str,
    fresh_database: Callable[[str], AbstractAsyncContextManager[str]],
    tmp_path: Path,
):
    """No rule, alert or panel asks for what nobody exports; test_alerting shows the silent ones."""
    async with (
        fresh_database("timescaledb") as dsn,
        pipeline(kafka_bootstrap, topic_name, dsn, tmp_path) as whole,
        gateway(whole) as address,
    ):
        whole.persist(INGEST_DATABASE__CAPACITY_BYTES="1000000000", STAGE_CONSTANTS=OFTEN)
        whole.forward()
        sample(whole)
        with scraping(tmp_path / "p", whole.targets | {"gateway": [address]}) as prometheus:
            queries = {query for query in asked() if not silent(query)}
            await prometheus.answer(queries, seconds=150)


def sample(whole: Pipeline) -> None:
    """Publish believable events, as `make up` does."""
    stage = whole.stage
    command = ["publish", "--sample", "1000000", "--rate", "100"]
    stage.workers.append(Worker("sample", stage.folder / "s.log", stage.environment(), command))


@asynccontextmanager
async def gateway(whole: Pipeline) -> AsyncIterator[str]:
    """Run a publisher that records a decision now and then; yield its metrics' address."""
    registry = CollectorRegistry()
    server, thread = start_http_server(0, LOOPBACK, registry)
    kafka = KafkaSettings(bootstrap_servers=whole.stage.bootstrap, topic=whole.stage.topic)
    event = {"event_type": "discovery", "decision": "allow", "reason": "role"}
    try:
        async with AuditPublisher(kafka, registry=registry) as publisher:

            async def decide() -> None:
                while True:
                    decision = GatewayAuditEvent(**event, gateway_request_id="req-1")
                    await publisher.log_gateway_event(decision)
                    await asyncio.sleep(0.2)

            deciding = asyncio.create_task(decide(), name="gateway")
            yield f"{LOOPBACK}:{server.server_port}"
            deciding.cancel()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
