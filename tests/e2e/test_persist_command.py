"""`ingest-service persist` as SRE meets it: what it says, serves and answers, good day and bad."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stage import assert_invariants, until
from stage.journal import events

if TYPE_CHECKING:
    import random

    from stage import Stage, Worker

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]

CANARY = "canary-7f3a"


async def _refused(worker: Worker) -> str:
    """Return the one message with which a worker that cannot work has ended."""
    code = await worker.ended()
    said = worker.log.read_text()
    assert code in {1, 2}, said
    assert "Traceback" not in said
    return said


async def test_unreachable_broker_is_one_message(stage: Stage) -> None:
    """Nothing listens there: it says which address, and which variable to check."""
    said = await _refused(stage.start_worker(INGEST_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1"))
    assert "127.0.0.1:1" in said
    assert "INGEST_KAFKA__BOOTSTRAP_SERVERS" in said


async def test_missing_topic_is_one_message(stage: Stage) -> None:
    """A topic that is not there is named, with the command that makes it."""
    said = await _refused(stage.start_worker(INGEST_KAFKA__TOPIC=f"{stage.topic}.absent"))
    assert f"{stage.topic}.absent" in said
    assert "ingest-service topics create" in said


async def test_missing_table_is_one_message(stage: Stage) -> None:
    """A database without the schema is told apart from one that is away."""
    connection = await asyncpg.connect(stage.dsn)
    await connection.execute("drop table gateway_audit_quarantine cascade")
    await connection.close()
    said = await _refused(stage.start_worker())
    assert "gateway_audit_quarantine" in said
    assert "ingest-service migrate" in said


async def test_role_without_grants_is_one_message(stage: Stage) -> None:
    """A login that may read and insert nothing is told which role to have granted."""
    parts = urlsplit(stage.dsn)
    login = f"nobody_{stage.topic[-12:]}"
    connection = await asyncpg.connect(stage.dsn)
    await connection.execute(f"create role {login} login password '{CANARY}'")
    try:
        dsn = urlunsplit(parts._replace(netloc=f"{login}:{CANARY}@{parts.hostname}:{parts.port}"))
        said = await _refused(stage.start_worker(INGEST_DATABASE__DSN=dsn))
    finally:
        await connection.execute(f"drop role {login}")
        await connection.close()
    assert "gateway_audit_writer" in said
    assert CANARY not in said


async def test_bad_settings_are_one_message(stage: Stage) -> None:
    """Every mistake is named by its variable, in one message, before anything is connected."""
    said = await _refused(
        stage.start_worker(INGEST_DATABASE__WRITERS="none", INGEST_EVENTS__MAX_AGE="soon")
    )
    assert "INGEST_DATABASE__WRITERS" in said
    assert "INGEST_EVENTS__MAX_AGE" in said


async def test_metrics_and_health_tell_what_happened(stage: Stage, seed: random.Random) -> None:
    """Written rows, quarantine, duplicates, lag and delay are counted once; health is good."""
    good = events(seed, 60)
    await stage.produce([*good, good[0], b"garbage"], partition=1)
    worker = stage.start_worker()
    await stage.drained()

    async def counted() -> bool:
        return (await _metrics(worker)).get("sark_audit_duplicates_total") == 1

    await until(counted, what="the batch is counted")
    metrics = await _metrics(worker)
    assert metrics["sark_audit_events_written_total"] == 60
    assert metrics["sark_audit_quarantined_total"] == 1
    assert metrics["sark_audit_durable_offset"] == 62
    assert metrics["sark_audit_end_to_end_delay_seconds_count"] == 62
    assert (await worker.get("/health"))[0] == 200

    await _ready(worker)
    status, body = await worker.get("/health/detailed")
    assert status == 200
    assert json.loads(body)["status"] == "healthy"
    await assert_invariants(stage, duplicates=1)


async def _ready(worker: Worker) -> None:
    async def is_ready() -> bool:
        return (await worker.get("/health/ready"))[0] == 200

    await until(is_ready, what="the worker is ready")


async def _metrics(worker: Worker) -> dict[str, float]:
    """Return the sum of each sample over its labels."""
    _, body = await worker.get("/metrics")
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums


async def test_database_away_is_degraded_then_goes_on(stage: Stage, seed: random.Random) -> None:
    """While the database refuses everybody, the worker stays alive and ready, and says so."""
    worker = stage.start_worker()
    await stage.produce(events(seed, 30))
    await stage.drained()
    await _ready(worker)
    admin = await asyncpg.connect(stage.dsn)
    name = urlsplit(stage.dsn).path[1:]
    try:
        # A superuser cannot be kept out by a connection limit: the database itself closes.
        other = await asyncpg.connect(urlunsplit(urlsplit(stage.dsn)._replace(path="/postgres")))
        await admin.close()
        await other.execute(f'alter database "{name}" allow_connections false')
        await other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name
        )
        await stage.produce(events(seed, 30))

        async def degraded() -> bool:
            return json.loads((await worker.get("/health/detailed"))[1])["status"] == "degraded"

        await until(degraded, what="the database's absence shows")
        assert (await worker.get("/health"))[0] == 200
        assert (await worker.get("/health/ready"))[0] == 200
    finally:
        await other.execute(f'alter database "{name}" allow_connections true')
        await other.close()
    await stage.drained()
    await assert_invariants(stage)


async def test_nothing_of_an_event_reaches_log_or_metrics(
    stage: Stage, seed: random.Random
) -> None:
    """Good, bad and refused events leave no trace of their content outside the database.

    The names of tools, servers and actions are labels; who asked, why and with what are not.
    """
    values = [
        re.sub(rb"user-|policy|req-|\bn\b", CANARY.encode(), value) for value in events(seed, 20)
    ]
    values[3] = values[3].replace(b'"allow"', b'"canary-7f3a"')
    values[5] = CANARY.encode()
    await stage.produce(values)
    worker = stage.start_worker(INGEST_LOG__LEVEL="debug")
    await stage.drained()
    _, body = await worker.get("/metrics")
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    assert CANARY not in worker.log.read_text()
    assert CANARY not in body
