"""Brings the database's schema to a revision: Alembic over asyncpg, one run at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import asyncpg
from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import ingest_service
from ingest_service.adapters.database_errors import NOT_AN_ADDRESS, why_unreachable
from ingest_service.errors import DatabaseUnavailableError, IngestError, SetupError

VERSION_TABLE = "gateway_audit_schema_version"
"""Not Alembic's usual name: the gateway may keep its own migrations in the same database."""

OLDEST_SERVER = 15
_CONNECT_SECONDS = 10
_SESSION = {
    "application_name": "ingest-service migrate",
    "search_path": "public",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    # DDL that waits for a table holds up every writer behind it: give up, so that they go on.
    "lock_timeout": "30s",
}
_LOCK = "hashtextextended('gateway_audit_migration', 0)"
_ADVICE = {
    "28000": "Check the user in INGEST_DATABASE__DSN.",
    "28P01": "Check the user and the password in INGEST_DATABASE__DSN.",
    "42501": "Migrate as the database's owner with the right CREATEROLE, or let an administrator "
    "first create the roles gateway_audit_writer, gateway_audit_operator and "
    "gateway_audit_compliance (and the extension timescaledb, where it is installed).",
    "25006": "This server is a standby: name the primary in INGEST_DATABASE__DSN.",
    "3D000": "Create it first, owned by the role that migrates.",
    "55P03": "A worker holds a table for longer than 30 s: stop the workers and try again.",
}


class MigrationReport(NamedTuple):
    """What a run found and did; a revision is None where there is no schema."""

    server: str
    before: str | None
    after: str | None

    @property
    def changed(self) -> bool:
        """Whether the run did anything."""
        return self.before != self.after


class Step(NamedTuple):
    """Where to go: up to a revision, or down to one."""

    target: str = "head"
    down: bool = False
    force: bool = False


UP = Step()


def database_folder() -> Path:
    """Return the folder `db`: inside an installed package, or beside it in a checkout."""
    package = Path(ingest_service.__file__).parent
    installed = package / "_db"
    return installed if installed.is_dir() else package.parent / "db"


def newest_revision() -> str | None:
    """Return the revision that this release brings a database to."""
    return ScriptDirectory.from_config(_config()).get_current_head()


async def migrate(
    dsn: str, step: Step = UP, tell: Callable[[str], None] = lambda _: None
) -> MigrationReport:
    """Bring the schema to the step's target in one transaction, or leave it as it was.

    A second run at the same time waits for the first (and `tell`s so), then finds nothing to do.
    Raises `DatabaseUnavailableError` when the server cannot be asked, `SetupError` for the rest.
    """
    connection = await _connect(dsn)

    async def give(*_: object, **__: object) -> asyncpg.Connection:
        return connection

    # One connection for the lock and the work: the lock cannot be lost while the work goes on.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=give, poolclass=NullPool)
    try:
        async with engine.connect() as session:
            return await session.run_sync(_locked, step, tell)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError, OSError) as exc:
        raise _translated(exc) from exc
    except CommandError as exc:
        raise SetupError(f"{exc}. This release knows revisions up to {newest_revision()}.") from exc
    finally:
        await engine.dispose()
        await connection.close()


def run_script(name: str) -> None:
    """Run a file of statements below `db/sql` in the migration's transaction."""
    script = (database_folder() / "sql" / name).read_text(encoding="utf-8")
    # Straight to asyncpg: SQLAlchemy prepares what it runs, and only one statement can be prepared.
    session = op.get_bind().connection.dbapi_connection
    assert session is not None
    session.run_async(lambda connection: connection.execute(script))


def timescaledb_wanted() -> bool:
    """Tell whether this database has TimescaleDB, or can: installed and preloaded."""
    answer = op.get_bind().exec_driver_sql(
        "select exists (select from pg_extension where extname = 'timescaledb')"
        " or (exists (select from pg_available_extensions where name = 'timescaledb')"
        # Creating it without its preloaded library ends the session.
        " and exists (select from pg_settings where name = 'timescaledb.max_background_workers'))"
    )
    return bool(answer.scalar_one())


def community_licence() -> bool:
    """Tell whether this database has TimescaleDB under its own licence: policies, aggregates."""
    answer = op.get_bind().exec_driver_sql(
        "select exists (select from pg_extension where extname = 'timescaledb')"
        " and current_setting('timescaledb.license', true) = 'timescale'"
    )
    return bool(answer.scalar_one())


async def _connect(dsn: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(dsn, timeout=_CONNECT_SECONDS, server_settings=_SESSION)
    except ValueError:
        raise SetupError(NOT_AN_ADDRESS) from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        raise _translated(exc) from exc


def _locked(connection: Connection, step: Step, tell: Callable[[str], None]) -> MigrationReport:
    if not connection.exec_driver_sql(f"select pg_try_advisory_lock({_LOCK})").scalar_one():
        tell("Another migration is running: waiting for it.")
        connection.exec_driver_sql("set lock_timeout = 0")
        connection.exec_driver_sql(f"select pg_advisory_lock({_LOCK})")
        connection.exec_driver_sql(f"set lock_timeout = '{_SESSION['lock_timeout']}'")
    _refuse_strangers(connection)
    before = _revision(connection)
    connection.commit()  # Alembic leaves a transaction alone that it did not begin
    (command.downgrade if step.down else command.upgrade)(
        _config(connection=connection, force=step.force), step.target
    )
    connection.commit()
    return MigrationReport(_server(connection), before, _revision(connection))


def _config(**attributes: object) -> Config:
    config = Config(attributes=attributes)
    folder = str(database_folder() / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def _refuse_strangers(connection: Connection) -> None:
    version = int(connection.exec_driver_sql("show server_version_num").scalar_one()) // 10_000
    if version < OLDEST_SERVER:
        raise SetupError(f"PostgreSQL {version} is too old: {OLDEST_SERVER} or newer is needed")
    owner = connection.exec_driver_sql(
        "select pg_get_userbyid(relowner) from pg_class where oid = to_regclass($1)"
        " and not pg_has_role(current_user, relowner, 'usage')",
        (VERSION_TABLE,),
    ).scalar()
    if owner is not None:
        raise SetupError(f"the audit tables belong to the role {owner}: migrate as that role")


def _server(connection: Connection) -> str:
    row = connection.exec_driver_sql(
        "select split_part(current_setting('server_version'), ' ', 1), extversion,"
        " current_setting('timescaledb.license', true)"
        " from (select) as one left join pg_extension on extname = 'timescaledb'"
    ).one()
    if row[1] is None:
        return f"PostgreSQL {row[0]}"
    edition = {"apache": "Apache", "timescale": "Community"}.get(row[2], row[2])
    return f"PostgreSQL {row[0]} with TimescaleDB {row[1]} ({edition} edition)"


def _translated(exc: Exception) -> IngestError:
    """Say what to do about it. An error's DETAIL is left out: it may repeat a row."""
    driver = exc.orig.__cause__ if isinstance(exc, DBAPIError) and exc.orig else None
    cause = driver or exc
    if not isinstance(cause, asyncpg.PostgresError):
        return DatabaseUnavailableError(
            f"cannot reach the database ({why_unreachable(cause)}): "
            "check INGEST_DATABASE__DSN and that the server runs"
        )
    state = cause.sqlstate or ""
    hint = _ADVICE.get(state) or getattr(cause, "hint", None) or ""
    if state[:2] in ("08", "53", "57"):
        return DatabaseUnavailableError(f"cannot reach the database: {cause.message}")
    return SetupError(f"the database refused: {cause.message} ({state}). {hint}".rstrip())
