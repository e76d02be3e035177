"""The embedded stack, really started: real Apache Kafka and real PostgreSQL without containers."""

import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import ModuleType

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from servers.sources import temporary_state
from stack import kafka, postgres, process
from stack.state import State

Start = Callable[..., process.Server]
STARTER = """
import pathlib, sys, time
from stack import {server}
from stack.state import State
started = {server}.start(State(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
print(started.process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def state() -> Iterator[State]:
    with temporary_state() as folder:
        yield folder


@pytest.fixture
def start(state: State) -> Iterator[Start]:
    """Return what starts a server of the state folder; at the end all that it started stops."""
    with ExitStack() as stops:

        def start(module: ModuleType, *arguments: object) -> process.Server:
            server = module.start(state, *arguments)
            stops.callback(server.stop)
            return server

        yield start


@pytest.mark.kafka
async def test_kafka_keeps_its_records_and_its_port_over_a_restart(start: Start, topic_name: str):
    """A second start answers at the same address with what was acknowledged before."""
    first = start(kafka)
    await produce(first.address, topic_name, b"kept")
    first.stop()
    second = start(kafka)
    assert second.address == first.address
    assert await first_value(second.address, topic_name) == b"kept"


@pytest.mark.database
async def test_postgres_keeps_its_rows_and_its_port_over_a_restart(start: Start):
    """A second start answers at the same address with what was committed before."""
    first = start(postgres)
    await run(first.address, "create table kept as select 42 as answer")
    first.stop()
    second = start(postgres)
    assert second.address == first.address
    assert await run(second.address, "select answer from kept") == 42


@pytest.mark.database
async def test_an_audit_store_keeps_fsync_on(start: Start):
    """What the embedded database acknowledges is on the disk, and pages carry checksums."""
    server = start(postgres)
    assert await run(server.address, "show fsync") == "on"
    assert await run(server.address, "show data_checksums") == "on"


@pytest.mark.database
async def test_nobody_enters_the_database_without_the_password(start: Start):
    """The loopback address is open to every user of the machine, the database is not."""
    server = start(postgres)
    port = server.address.rpartition(":")[2]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await run(f"postgresql://postgres:guess@127.0.0.1:{port}", "select 1")


@pytest.mark.parametrize("server", [kafka, postgres])
def test_a_server_that_runs_is_reused(start: Start, server):
    """A start beside a running server returns that one, and its stop leaves it running."""
    first = start(server)
    second = start(server)
    assert (second.address, second.process) == (first.address, None)
    second.stop()
    assert first.process.poll() is None


@pytest.mark.parametrize("server", [kafka, postgres])
def test_stop_leaves_no_process(start: Start, server):
    """After stop, neither the server nor any child of it lives."""
    started = start(server)
    family = [psutil.Process(started.process.pid)]
    family += family[0].children(recursive=True)
    started.stop()
    assert [each for each in family if process.lives(each)] == []


@pytest.mark.parametrize("server", [kafka, postgres])
def test_a_server_ends_when_its_starter_is_killed(state: State, start: Start, server):
    """Even SIGKILL of the starter leaves no server behind, and the next start is a clean one."""
    starter, pid = start_elsewhere(state, server)
    left = psutil.Process(pid)
    starter.kill()
    starter.wait()
    again = start(server)
    assert again.process is not None
    assert not process.lives(left)


@pytest.mark.parametrize("server", [kafka, postgres])
def test_ctrl_c_reaches_the_starter_alone(start: Start, server):
    """A signal to the terminal's process group does not end a server before its clients."""
    started = start(server)
    assert os.getpgid(started.process.pid) != os.getpgid(0)


@pytest.mark.database
async def test_a_kept_port_that_was_taken_meanwhile_is_replaced(start: Start):
    """Somebody else's server on the kept port does not keep ours from starting."""
    first = start(postgres)
    first.stop()
    with socket.create_server(("127.0.0.1", int(first.address.rpartition(":")[2].split("/")[0]))):
        second = start(postgres)
    assert second.address != first.address
    assert await run(second.address, "select 1") == 1


@pytest.mark.database
def test_a_server_that_cannot_start_says_why(start: Start):
    """The error ends with the server's own last words, and nothing is left running."""
    start(postgres).stop()
    with pytest.raises(process.StartFailedError, match="no_such_setting"):
        start(postgres, {"no_such_setting": "1"})
    assert start(postgres).process is not None


@pytest.mark.database
async def test_a_broken_off_first_start_leaves_no_half_made_database(state: State, start: Start):
    """A data directory counts only when it is whole; remains of a start are made anew."""
    remains = state.folder("postgres") / "data.new"
    remains.mkdir()
    (remains / "PG_VERSION").write_text("18\n")
    server = start(postgres)
    assert await run(server.address, "select 1") == 1


def test_kept_passwords_are_for_their_owner_alone(state: State):
    """The file that holds passwords is closed to everybody else, and they do not change."""
    password = state.password("superuser")
    assert (state.root / "kept.json").stat().st_mode & 0o077 == 0
    assert State(state.root, state.downloads).password("superuser") == password


def start_elsewhere(state: State, server) -> tuple[subprocess.Popen, int]:
    code = textwrap.dedent(STARTER).format(server=server.__name__.rpartition(".")[2])
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(state.root), str(state.downloads)]
    starter = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=path)
    with starter.stdout as said:
        return starter, int(said.readline())


async def run(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def produce(bootstrap: str, topic: str, value: bytes) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait(topic, value)


async def first_value(bootstrap: str, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    async with consumer:
        consumer.assign([TopicPartition(topic, 0)])
        return (await consumer.getone()).value
