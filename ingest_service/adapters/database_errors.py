"""What each database error means for us: the one place where asyncpg's errors are translated.

PostgreSQL repeats the row in an error's message and DETAIL, so only the SQLSTATE and the names of
tables and constraints are ever passed on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from socket import gaierror
from ssl import SSLCertVerificationError

import asyncpg

from ingest_service.errors import (
    DatabaseUnavailableError,
    IngestError,
    OwnershipLostError,
    PartitionMissingError,
    RowKeyTakenError,
    RowRefusedError,
    SetupError,
)


class Step(Enum):
    """Which part of the work an error came from: the same code means different things."""

    CONNECT = auto()
    ROWS = auto()
    LEDGER = auto()
    OTHER = auto()


_PASSING = ("08", "25006", "40", "53", "55", "57", "58", "XX000")
"""Connection, standby after a failover, serialisation, resources, locks, operator, disk; XX000 is
"could not open relation" while a chunk is being dropped."""

NOT_AN_ADDRESS = (
    "INGEST_DATABASE__DSN is not a PostgreSQL address: "
    "write postgresql://user:password@host:5432/database, special characters of the password as "
    "%23 (#), %2F (/), %3F (?), %40 (@), and with sslmode the files that it needs"
)
"""Instead of asyncpg's own text, which may repeat the address, and with it the password."""

_REFUSED_LOGIN = {
    "28000": "the database refuses this user: check the user in INGEST_DATABASE__DSN",
    "28P01": "the database refuses this password: check INGEST_DATABASE__DSN",
    "3D000": "there is no such database: create it, or check INGEST_DATABASE__DSN",
}
_NOT_ENCODED = "the driver cannot encode a row"
_NOT_SET_UP = ("42P01", "42703", "42883", "3F000")


@contextmanager
def translated(step: Step = Step.OTHER) -> Iterator[None]:
    """Raise our errors instead of asyncpg's; what is unknown passes as it is."""
    try:
        yield
    except asyncpg.PostgresError as exc:
        meaning = reaction(exc.sqlstate or "", step, str(exc.args[0]) if exc.args else "")
        if meaning is None:
            raise
        raise meaning from exc
    except asyncpg.InternalClientError as exc:
        # asyncpg is out of step with a connection that was cut in the middle: it is of no more use.
        raise DatabaseUnavailableError("the database's connection was cut in the middle") from exc
    except (asyncpg.InterfaceError, OSError, TimeoutError) as exc:
        if isinstance(exc, ValueError):  # asyncpg could not encode an argument: as 22xxx
            raise RowRefusedError(_NOT_ENCODED) from None
        raise DatabaseUnavailableError(
            f"the database cannot be reached ({why_unreachable(exc)})"
        ) from exc
    except (ValueError, TypeError, OverflowError):
        if step is not Step.ROWS:
            raise
        # COPY lets its encoders' errors out as they are. Their text repeats the value.
        raise RowRefusedError(_NOT_ENCODED) from None


def why_unreachable(exc: BaseException) -> str:
    """Return in a few words why there is no connection."""
    match exc:
        case gaierror():
            return "the name of its host cannot be resolved"
        case ConnectionRefusedError():
            return "connection refused: nothing listens there"
        case TimeoutError():
            return "no answer in time"
        case SSLCertVerificationError():
            return f"its certificate is not accepted: {exc.verify_message}"
        case FileNotFoundError():
            return "a socket or certificate that INGEST_DATABASE__DSN names is not there"
    return type(exc).__name__


def reaction(sqlstate: str, step: Step, message: str = "") -> IngestError | None:
    """Return the error to react to, or None when nothing is known about this one."""
    # 23514 looks like a row's fault. "no partition of relation ..." is ours: never quarantine it.
    if sqlstate == "23514" and message.startswith("no partition of relation"):
        return PartitionMissingError("a partition of the table is missing")
    return _of_this_step(sqlstate, step) or _of_any_step(sqlstate)


def _of_this_step(sqlstate: str, step: Step) -> IngestError | None:
    if step is Step.CONNECT and sqlstate in _REFUSED_LOGIN:
        return SetupError(_REFUSED_LOGIN[sqlstate])
    if step is Step.LEDGER and sqlstate in {"23505", "23503", "42501"}:
        return OwnershipLostError(f"the ledger's head has moved ({sqlstate})")
    if step is Step.ROWS and sqlstate == "23505":
        return RowKeyTakenError("a row's key is there already")
    if step is Step.ROWS and (sqlstate[:2] == "22" or sqlstate in {"54000", "23502", "23514"}):
        return RowRefusedError(f"the database refuses a row ({sqlstate})")
    return None


def _of_any_step(sqlstate: str) -> IngestError | None:
    if sqlstate == "42501":
        return SetupError(
            "the database role may not do this: grant it gateway_audit_writer "
            "(`ingest-service check` names what is missing)"
        )
    if sqlstate in _NOT_SET_UP:
        return SetupError(
            f"the database's schema is not what this version needs ({sqlstate}): "
            "run `ingest-service migrate`"
        )
    if sqlstate.startswith(_PASSING):
        return DatabaseUnavailableError(f"the database cannot do it now ({sqlstate})")
    return None
