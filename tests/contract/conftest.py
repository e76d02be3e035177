"""What the contract suites run against: the fakes, and the real things."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from contract.clusters import Cluster, FakeCluster, KafkaCluster
from contract.stores import FakeStore, PostgresStore, Store
from ingest_service.adapters.migrations import migrate
from servers.databases import fresh_database_apart

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _store(server_dsn: str) -> Iterator[PostgresStore]:
    """Yield a migrated database and a login that may do what a writer may, and no more."""
    login = f"test_writer_{uuid4().hex}"
    with fresh_database_apart(server_dsn) as dsn:
        _apart(_set_up(dsn, login))
        try:
            parts = urlsplit(dsn)
            netloc = f"{login}:secret@{parts.hostname}:{parts.port}"
            yield PostgresStore(dsn, parts._replace(netloc=netloc).geturl())
        finally:
            _apart(_execute(dsn, f"drop role {login}"))


async def _set_up(dsn: str, login: str) -> None:
    await migrate(dsn)
    await _execute(dsn, f"create role {login} login password 'secret' in role gateway_audit_writer")


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _apart(work: object) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


@pytest.fixture(scope="session")
def timescaledb_store(timescale_dsn: str) -> Iterator[PostgresStore]:
    """Yield one database on TimescaleDB: each test has a topic of its own in it."""
    with _store(timescale_dsn) as store:
        yield store


@pytest.fixture(scope="session")
def plain_store(plain_dsn: str) -> Iterator[PostgresStore]:
    """Yield one database on plain PostgreSQL: each test has a topic of its own in it."""
    with _store(plain_dsn) as store:
        yield store


@pytest.fixture(
    params=[
        "fake",
        pytest.param("timescaledb", marks=pytest.mark.database),
        pytest.param("plain", marks=pytest.mark.database),
    ]
)
def store(request: pytest.FixtureRequest) -> Store:
    """Return a database behind the port: the fake, and the real one on each edition."""
    if request.param == "fake":
        return FakeStore()
    return request.getfixturevalue(f"{request.param}_store")


@pytest.fixture(params=["fake", pytest.param("plain", marks=pytest.mark.database)])
def partitioned_store(request: pytest.FixtureRequest) -> Store:
    """Return a database whose partitions have to be made."""
    if request.param == "fake":
        return FakeStore(partitioned=True)
    return request.getfixturevalue("plain_store")


@pytest.fixture(params=["fake", pytest.param("kafka", marks=pytest.mark.kafka)])
def cluster(request: pytest.FixtureRequest, topic_name: str) -> Cluster:
    """Return a broker behind the port: the fake, and the real one; the topic is to be made."""
    if request.param == "fake":
        return FakeCluster(topic_name)
    return KafkaCluster(request.getfixturevalue("kafka_bootstrap"), topic_name)
