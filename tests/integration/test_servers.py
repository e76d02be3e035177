"""The servers that the other tests stand on."""

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError


@pytest.mark.kafka
async def test_a_record_comes_back_from_the_sessions_broker(kafka_bootstrap: str, topic_name: str):
    """What is produced with acks=all is what is read."""
    await create_topic(kafka_bootstrap, topic_name)
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, acks="all") as producer:
        await producer.send_and_wait(topic_name, b"value", key=b"key")
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest")
    async with consumer:
        consumer.assign([TopicPartition(topic_name, 0)])
        record = await consumer.getone()
    assert (record.key, record.value) == (b"key", b"value")


@pytest.mark.kafka
async def test_the_broker_makes_no_topic_by_itself(kafka_bootstrap: str, topic_name: str):
    """A topic that nobody created does not come to be because somebody asks for it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        await admin.describe_topics([topic_name])
        described = await admin.describe_topics([topic_name])
    finally:
        await admin.close()
    assert described[0]["error_code"] == UnknownTopicOrPartitionError.errno


@pytest.mark.database
async def test_each_test_gets_an_empty_database_of_its_edition(
    database_dsn: str, request: pytest.FixtureRequest
):
    """The database is fresh, and TimescaleDB is there exactly when the parameter says so."""
    connection = await asyncpg.connect(database_dsn)
    tables = await connection.fetchval("select count(*) from pg_tables where schemaname = 'public'")
    timescale = await connection.fetchval(
        "select count(*) from pg_available_extensions where name = 'timescaledb'"
    )
    await connection.close()
    assert tables == 0
    assert timescale == (1 if "timescaledb" in request.node.name else 0)


@pytest.mark.database
def test_a_database_is_there_for_tests_without_a_loop_too(database_dsn: str):
    """The fixture asks for no event loop of the test."""
    assert database_dsn.startswith("postgresql://")


@pytest.mark.database
async def test_a_fresh_database_is_gone_afterwards(fresh_database, plain_dsn: str):
    """Nothing of a test's database is left on the server, even while somebody is connected."""
    connection = await asyncpg.connect(plain_dsn)
    async with fresh_database("plain") as dsn:
        left_open = await asyncpg.connect(dsn)
        names = await database_names(connection)
    assert dsn.rpartition("/")[2] in names
    assert dsn.rpartition("/")[2] not in await database_names(connection)
    left_open.terminate()
    await connection.close()


async def database_names(connection: asyncpg.Connection) -> set[str]:
    return {row["datname"] for row in await connection.fetch("select datname from pg_database")}


async def create_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()
