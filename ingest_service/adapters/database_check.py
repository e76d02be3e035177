"""Asking a database what it is, what is in it and what our role may do there.

Reads only, on one short connection; what the answers mean is decided elsewhere.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import asyncpg

from ingest_service.adapters.database_errors import NOT_AN_ADDRESS, Step, translated
from ingest_service.adapters.migrations import VERSION_TABLE
from ingest_service.errors import SetupError

_SECONDS = 10
_TABLES = (
    "gateway_audit_events",
    "gateway_audit_ledger",
    "gateway_audit_originals",
    "gateway_audit_quarantine",
    "gateway_audit_streams",
)
WRITER = "gateway_audit_writer"

_SERVER = """
select split_part(current_setting('server_version'), ' ', 1) as version,
       (select extversion from pg_extension where extname = 'timescaledb') as timescaledb,
       current_setting('timescaledb.license', true) as licence,
       current_user as role,
       (select rolsuper from pg_roles where rolname = current_user) as superuser,
       pg_is_in_recovery() as standby,
       coalesce((select pg_has_role(current_user, oid, 'usage')
                 from pg_roles where rolname = $1), false) as writer,
       has_database_privilege(current_database(), 'temporary') as temporary,
       current_setting('synchronous_commit') as synchronous_commit,
       current_setting('fsync') as fsync
"""
_CLOCK = "select extract(epoch from clock_timestamp())::float8"
_RIGHTS = """
select name,
       has_table_privilege(oid, 'select') as may_select,
       has_any_column_privilege(oid, 'insert') as may_insert,
       has_any_column_privilege(oid, 'update') or has_table_privilege(oid, 'delete')
           or has_table_privilege(oid, 'truncate') as may_change
from unnest($1::text[]) as name, to_regclass(name) as oid
where oid is not null
"""
_SCHEMA = "select to_regclass($1) is not null and has_table_privilege(to_regclass($1), 'select')"
_REVISION = f"select version_num from {VERSION_TABLE}"  # noqa: S608 - a constant of ours
_RETENTION_JOBS = """
select hypertable_name from timescaledb_information.jobs
where proc_name = 'policy_retention' and hypertable_name = any($1)
"""


class TableRights(NamedTuple):
    """What our role may do with one table; `change` is update, delete or truncate."""

    select: bool
    insert: bool
    change: bool


class DatabaseSurvey(NamedTuple):
    """What the database answered; tables that are not there are not among `rights`."""

    version: str
    timescaledb: str | None
    licence: str | None
    role: str
    superuser: bool
    standby: bool
    writer: bool
    temporary: bool
    synchronous_commit: str
    fsync: str
    revision: str | None
    tables: Sequence[str]
    rights: Mapping[str, TableRights]
    retention_policies: Sequence[str]
    seconds_ahead: float
    latency_seconds: float


async def survey(dsn: str) -> DatabaseSurvey:
    """Return what the database says of itself.

    Raises `DatabaseUnavailableError`, or `SetupError` when it will not let us in.
    """
    with translated(Step.CONNECT):
        async with asyncio.timeout(_SECONDS):
            connection = await _connect(dsn)
    try:
        with translated():
            async with asyncio.timeout(_SECONDS):
                return await _ask(connection)
    finally:
        connection.terminate()


async def _connect(dsn: str) -> asyncpg.Connection:
    settings = {"application_name": "ingest-service check", "default_transaction_read_only": "on"}
    try:
        return await asyncpg.connect(dsn, timeout=_SECONDS, server_settings=settings)
    except ValueError:
        raise SetupError(NOT_AN_ADDRESS) from None


async def _ask(connection: asyncpg.Connection) -> DatabaseSurvey:
    server = await connection.fetchrow(_SERVER, WRITER)
    assert server is not None
    before, clock = time.time(), await connection.fetchval(_CLOCK)
    latency = time.time() - before
    rights = await connection.fetch(_RIGHTS, _TABLES)
    schema = await connection.fetchval(_SCHEMA, VERSION_TABLE)
    jobs = await connection.fetch(_RETENTION_JOBS, _TABLES) if server["timescaledb"] else ()
    return DatabaseSurvey(
        **server,
        revision=await connection.fetchval(_REVISION) if schema else None,
        tables=_TABLES,
        rights={
            row["name"]: TableRights(row["may_select"], row["may_insert"], row["may_change"])
            for row in rights
        },
        retention_policies=[row["hypertable_name"] for row in jobs],
        seconds_ahead=clock - before - latency / 2,
        latency_seconds=latency,
    )
