"""What each database error means for us, as a table and as real servers say it."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from asyncpg.exceptions import _base

from ingest_service.adapters.database import ADVISORY_CLASS, WriterConnection
from ingest_service.adapters.database_errors import Step, reaction, translated
from ingest_service.adapters.migrations import migrate
from ingest_service.errors import (
    DatabaseUnavailableError,
    OwnershipLostError,
    PartitionMissingError,
    RowKeyTakenError,
    RowRefusedError,
    SetupError,
)
from schema import WRITER, connected
from stack.state import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    FreshDatabase = Callable[[str], AbstractAsyncContextManager[str]]

ANY = tuple(Step)

TABLE: list[tuple[tuple[str, ...], tuple[Step, ...], type[Exception] | None]] = [
    (("23505",), (Step.ROWS,), RowKeyTakenError),
    (("23505", "23503", "42501"), (Step.LEDGER,), OwnershipLostError),
    (("22P02", "22021", "22P05", "22003", "54000", "23502", "23514"), (Step.ROWS,), RowRefusedError),
    (
        # connection, serialisation, resources, locks, operator, standby, disk, a chunk going away
        ("08006", "40001", "40P01", "53100", "53300", "55P03", "57P01", "57014", "25006", "58030",
         "XX000"),
        ANY,
        DatabaseUnavailableError,
    ),
    (("42P01", "42703", "42883", "3F000"), ANY, SetupError),
    (("42501",), (Step.CONNECT, Step.ROWS, Step.OTHER), SetupError),
    (("28000", "28P01", "3D000"), (Step.CONNECT,), SetupError),
    (("23505", "23503", "23514", "22P02", "42601"), (Step.OTHER,), None),
    (("23514", "22P02"), (Step.LEDGER,), None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sqlstate", "step", "meaning"),
    [
        pytest.param(code, step, meaning, id=f"{code} {step.name}")
        for codes, steps, meaning in TABLE
        for code in codes
        for step in steps
    ],
)
def test_reaction_follows_the_table(sqlstate: str, step: Step, meaning: type[Exception] | None):
    """One SQLSTATE means different things in different steps; what is unknown stays unknown."""
    answer = reaction(sqlstate, step, "new row violates check")
    assert (None if answer is None else type(answer)) is meaning


@pytest.mark.parametrize("step", Step)
def test_missing_partition_is_never_a_rows_fault(step: Step):
    """23514 also says that a partition is missing: that is ours to make."""
    message = 'no partition of relation "gateway_audit_events" found for row'
    assert isinstance(reaction("23514", step, message), PartitionMissingError)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        ConnectionResetError(),
        OSError("no route to host"),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_broken_connection_is_an_outage(error: Exception):
    """Whatever the driver calls it, a connection that broke is tried again."""
    with pytest.raises(DatabaseUnavailableError), translated(Step.ROWS):
        raise error


@pytest.mark.parametrize(
    "error", [ValueError("secret"), TypeError("secret"), OverflowError("secret")]
)
def test_value_that_the_driver_cannot_encode_is_a_rows_fault(error: Exception):
    """COPY lets its encoders' errors out: while rows are written that is a row's fault, not a bug."""
    with pytest.raises(RowRefusedError) as refusal, translated(Step.ROWS):
        raise error
    assert "secret" not in str(refusal.value)
    assert refusal.value.__suppress_context__
    with pytest.raises(type(error)), translated(Step.OTHER):
        raise error


def test_argument_that_the_driver_cannot_encode_is_a_rows_fault():
    """The driver has an error of its own for it, whose text repeats the value as well."""
    with pytest.raises(RowRefusedError) as refusal, translated():
        raise _base.DataError("invalid input for query argument $1: 'secret'")
    assert "secret" not in str(refusal.value)
    assert refusal.value.__suppress_context__


def test_unknown_error_passes_as_it_is():
    """What nobody thought of ends the worker instead of being retried for ever."""
    with pytest.raises(asyncpg.PostgresSyntaxError), translated(Step.ROWS):
        raise asyncpg.PostgresSyntaxError("syntax error")


# --- as real servers say it ----------------------------------------------------------------------


async def refusal(dsn: str, error: type[Exception]) -> str:
    """Return what a worker says when it first uses this database; the address is never in it."""
    async with WriterConnection(dsn) as database:
        with pytest.raises(error) as caught:
            await database.stream("events", 0)
    assert "s3cret" not in repr(caught.value)
    assert dsn not in str(caught.value)
    return str(caught.value)


@asynccontextmanager
async def login(dsn: str, grant: str | None = None) -> AsyncIterator[str]:
    """Yield the address for a login of its own, in the role that is named."""
    role = f"test_login_{uuid4().hex}"
    parts = urlsplit(dsn)
    async with connected(dsn) as session:
        await session.execute(f"create role {role} login password 's3cret'")
        if grant:
            await session.execute(f"grant {grant} to {role}")
        try:
            netloc = f"{role}:s3cret@{parts.hostname}:{parts.port}"
            yield parts._replace(netloc=netloc).geturl()
        finally:
            await session.execute(f"drop role {role}")


@pytest.mark.database
async def test_database_without_tables_says_migrate(database_dsn: str):
    """Every missing table is named, and the command that makes them."""
    message = await refusal(database_dsn, SetupError)
    for table in ("streams", "ledger", "originals", "events", "quarantine"):
        assert f"gateway_audit_{table}" in message
    assert "ingest-service migrate" in message


@pytest.mark.database
async def test_role_without_grants_says_what_to_grant(database_dsn: str):
    """A login that nobody granted anything is told which role to ask for; with it, it works."""
    await migrate(database_dsn)
    async with login(database_dsn) as dsn:
        message = await refusal(dsn, SetupError)
        assert "grant gateway_audit_writer to" in message
        assert "gateway_audit_ledger" in message
    async with login(database_dsn, WRITER) as dsn, WriterConnection(dsn) as database:
        assert (await database.stream("events", 0)).epoch == 1


@pytest.mark.database
async def test_role_that_only_operates_may_not_write(database_dsn: str):
    """A role with other rights is refused at the first use, not at the first batch."""
    await migrate(database_dsn)
    async with login(database_dsn, "gateway_audit_operator") as dsn:
        assert "gateway_audit_events" in await refusal(dsn, SetupError)


@pytest.mark.database
async def test_session_is_used_only_when_it_is_whole(database_dsn: str):
    """After a refused start the next use looks again, and then works."""
    async with WriterConnection(database_dsn) as database:
        with pytest.raises(SetupError):
            await database.stream("events", 0)
        await migrate(database_dsn)
        stream = await database.stream("events", 0)
        async with database.transaction():
            assert await database.stage_rows([(stream.id, [])]) == []


@pytest.mark.database
async def test_wrong_password_names_the_setting(fresh_database: FreshDatabase):
    """A password that the server refuses will not become right by trying again."""
    async with fresh_database("timescaledb") as dsn, login(dsn) as right:
        message = await refusal(right.replace("s3cret", "s3cret-not"), SetupError)
    assert "refuses this password" in message
    assert "INGEST_DATABASE__DSN" in message


@pytest.mark.database
async def test_unknown_database_names_the_setting(database_dsn: str):
    """A database that is not there has to be made, or named rightly."""
    wrong = urlsplit(database_dsn)._replace(path="/nowhere").geturl()
    assert "no such database" in await refusal(wrong, SetupError)


@pytest.mark.parametrize("dsn", ["not an address", "postgresql://u:s3cret@host:notaport/db"])
async def test_address_that_is_none_names_the_setting(dsn: str):
    """What is no address is a setting's fault, not a row's; it is not repeated."""
    assert "INGEST_DATABASE__DSN is not a PostgreSQL address" in await refusal(dsn, SetupError)


async def test_server_that_is_not_there_is_an_outage():
    """Nobody listening is waited for."""
    dsn = f"postgresql://u:s3cret@127.0.0.1:{free_port()}/db"
    await refusal(dsn, DatabaseUnavailableError)


async def test_server_that_never_answers_is_an_outage(monkeypatch: pytest.MonkeyPatch):
    """A server that accepts and says nothing does not hold a worker up for ever."""
    monkeypatch.setattr("ingest_service.adapters.writer_session._CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        await refusal(f"postgresql://u:s3cret@127.0.0.1:{port}/db", DatabaseUnavailableError)


@pytest.mark.database
async def test_frozen_answer_is_an_outage(
    fresh_database: FreshDatabase, monkeypatch: pytest.MonkeyPatch
):
    """Outside a transaction, too, a question has a deadline; then the session is a new one."""
    monkeypatch.setattr("ingest_service.adapters.database._ANSWER_SECONDS", 0.2)
    monkeypatch.setattr("ingest_service.adapters.database._ATTEMPT_SECONDS", 0.2)
    async with fresh_database("plain") as dsn:
        await migrate(dsn)
        async with connected(dsn) as other, WriterConnection(dsn) as database:
            stream = await database.stream("events", 0)
            async with other.transaction():
                await other.execute("lock table gateway_audit_ledger in access exclusive mode")
                with pytest.raises(DatabaseUnavailableError, match="did not answer"):
                    await database.heads([stream.id])
                with pytest.raises(DatabaseUnavailableError, match="did not finish"):
                    async with database.transaction():
                        await database.heads([stream.id])
            assert await database.heads([stream.id]) == {}


@pytest.mark.database
async def test_holder_of_another_role_cannot_be_ended(database_dsn: str):
    """A lock that our role may not break is an outage that says what to do, not a crash."""
    await migrate(database_dsn)
    async with login(database_dsn, WRITER) as dsn, connected(database_dsn) as superuser:
        async with WriterConnection(dsn, takeover_seconds=0.05) as database:
            stream = await database.stream("events", 0)
            async with superuser.transaction():
                await superuser.execute(
                    "select pg_advisory_xact_lock($1, $2)", ADVISORY_CLASS, stream.id
                )
                with pytest.raises(DatabaseUnavailableError, match="pg_terminate_backend"):
                    async with database.transaction():
                        await database.lock([stream.id])
            async with database.transaction():
                await database.lock([stream.id])


def test_driver_out_of_step_is_a_lost_connection():
    """A connection cut in the middle leaves asyncpg in no state to go on: a new one is opened."""
    with pytest.raises(DatabaseUnavailableError, match="cut in the middle"), translated():
        raise asyncpg.InternalClientError("cannot switch to state")
