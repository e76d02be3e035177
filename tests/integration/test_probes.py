"""The workers' own probes against real servers: Kafka by its leaders, a database by what it takes."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ingest_service.adapters.database_probe import DatabaseProbe
from ingest_service.adapters.kafka_probe import KafkaProbe
from ingest_service.errors import BrokerUnavailableError, DatabaseUnavailableError, SetupError
from ingest_service.settings import KafkaSettings
from ingest_service.telemetry.probing import Answer
from stack import postgres
from stage.databases import address_of, own_server, rerouted, session
from stage.proxy import proxy_before
from stage.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def kafka(kafka_bootstrap: str, topic_name: str) -> AsyncIterator[KafkaSettings]:
    """Yield the settings for a topic that exists."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic_name, 3, 1)])
    try:
        yield KafkaSettings(bootstrap_servers=kafka_bootstrap, topic=topic_name)
    finally:
        await admin.delete_topics([topic_name])
        await admin.close()


@pytest.mark.kafka
async def test_leaders_of_the_topic_are_asked_on_kept_connections(kafka: KafkaSettings) -> None:
    """The first answer says who leads; from then on each leader is asked, and connected once."""
    async with KafkaProbe(kafka) as probe:
        await until(lambda: _is_healthy(probe), what="the new topic is led")
        assert sorted(n for led in probe._leaders.values() for n in led) == [0, 1, 2]
        await probe.ask()
        before = dict(probe._connections)
        assert await probe.ask() == Answer()
        assert probe._connections == before
    assert not any(each.connected() for each in before.values())


async def _is_healthy(probe: KafkaProbe) -> bool:
    try:
        return await probe.ask() == Answer()
    except BrokerUnavailableError:
        return False


@pytest.mark.kafka
async def test_missing_topic_is_no_healthy_kafka(kafka: KafkaSettings) -> None:
    """A topic that was deleted is named by the broker's own error, and is not made by asking."""
    absent = kafka.model_copy(update={"topic": f"{kafka.topic}.absent"})
    async with KafkaProbe(absent) as probe:
        for _ in range(2):
            with pytest.raises(BrokerUnavailableError, match="UnknownTopicOrPartition"):
                await probe.ask()


@pytest.mark.kafka
async def test_broker_that_hangs_is_found_out_and_comes_back(kafka: KafkaSettings) -> None:
    """Its connections stay open and nothing comes: unhealthy in time, healthy after it."""
    async with (
        proxy_before(kafka.bootstrap_servers, advertised=True) as proxy,
        KafkaProbe(kafka.model_copy(update={"bootstrap_servers": proxy.address})) as probe,
    ):
        await until(lambda: _is_healthy(probe), what="the new topic is led")
        assert await probe.ask() == Answer()
        proxy.freeze()
        for _ in range(2):  # the leader first, then whoever is in the settings
            with pytest.raises(BrokerUnavailableError, match="no answer within"):
                async with asyncio.timeout(3):
                    await probe.ask()
        proxy.thaw()
        await until(lambda: _is_healthy(probe), what="the broker answers again")


async def test_absent_broker_is_said_per_server() -> None:
    """Each server of the settings with what is wrong with it."""
    async with KafkaProbe(KafkaSettings(bootstrap_servers="127.0.0.1:1,127.0.0.1:2")) as probe:
        with pytest.raises(BrokerUnavailableError) as refusal:
            await probe.ask()
    assert "127.0.0.1:1: connection refused" in str(refusal.value)
    assert "127.0.0.1:2: connection refused" in str(refusal.value)


@pytest.mark.database
async def test_database_is_asked_on_one_session(database_dsn: str) -> None:
    """One session, kept; and a new one when somebody ended it."""
    async with DatabaseProbe(database_dsn) as probe, session(database_dsn) as watcher:
        for _ in range(3):
            assert await probe.ask() == Answer()
        [pid] = await _sessions(watcher)
        await watcher.execute("select pg_terminate_backend($1)", pid)
        with suppress(DatabaseUnavailableError):  # unless the driver has noticed already
            await probe.ask()
        assert await probe.ask() == Answer()

    async def is_gone() -> bool:
        async with session(database_dsn) as watcher:
            return not await _sessions(watcher)

    await until(is_gone, what="the session is closed with the probe")


async def _sessions(watcher: object) -> list[int]:
    rows = await watcher.fetch(
        "select pid from pg_stat_activity where application_name = 'ingest-service probe'"
        " and datname = current_database()"
    )
    return [row["pid"] for row in rows]


@pytest.mark.database
async def test_database_that_hangs_leaves_no_session_behind(plain_dsn: str) -> None:
    """Whoever stops waiting drops the connection; after the outage it is a new one."""
    async with proxy_before(address_of(plain_dsn)) as proxy:
        async with DatabaseProbe(rerouted(plain_dsn, proxy.address)) as probe:
            await probe.ask()
            proxy.freeze()
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.3):
                        await probe.ask()
            assert probe._connection is None
            proxy.thaw()
            assert await probe.ask() == Answer()


@pytest.mark.database
async def test_server_whose_processes_are_stopped_is_found_out() -> None:
    """SIGSTOP to all of PostgreSQL: the kernel still takes connections, the probe is not fooled."""
    with own_server() as server:
        async with DatabaseProbe(server.dsn) as probe:
            await probe.ask()
            server.signal_all(signal.SIGSTOP)
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await probe.ask()
            server.signal_all(signal.SIGCONT)
            assert await probe.ask() == Answer()


@pytest.mark.database
async def test_refused_login_says_what_to_check(plain_dsn: str) -> None:
    """A password that was changed is told by its setting, and is not repeated."""
    user = "postgresql://nobody-7:s3cret@"
    async with DatabaseProbe(f"{user}{address_of(plain_dsn)}/postgres") as probe:
        with pytest.raises((SetupError, DatabaseUnavailableError)) as refusal:
            await probe.ask()
    assert "s3cret" not in str(refusal.value)


async def test_address_that_is_none_is_told() -> None:
    """Whatever the settings say, the probe raises our own errors."""
    async with DatabaseProbe("mysql://x") as probe:
        with pytest.raises(SetupError, match="INGEST_DATABASE__DSN"):
            await probe.ask()


@pytest.mark.database
async def test_standby_is_no_healthy_database() -> None:
    """After a failover the old address may lead to a standby: it answers, and takes no writes."""
    with own_server() as server:
        (server._state.folder(postgres.NAME) / "data" / "standby.signal").touch()
        server._server.stop()
        server.start_again()
        async with DatabaseProbe(server.dsn) as probe:
            with pytest.raises(DatabaseUnavailableError, match="a standby: it takes no writes"):
                await probe.ask()
            assert probe._connection is None
