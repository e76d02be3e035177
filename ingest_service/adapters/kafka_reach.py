"""Why no broker can be used, per server: the client itself only logs it."""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from socket import gaierror
from typing import Any

from aiokafka import errors
from aiokafka.conn import create_conn

from ingest_service.errors import BrokerUnavailableError, IngestError, SetupError

ATTEMPT_SECONDS = 5


class _AnsweredError(Exception):
    """Not this server, but what it was asked: a client asks more than a connection does."""


_Words = tuple[type[Exception] | tuple[type[Exception], ...], Callable[[Any], str]]

# The first that fits is said, so the special ones come first.
_FOR_AN_OPERATOR: tuple[_Words, ...] = (
    (
        ssl.SSLCertVerificationError,
        lambda exc: (
            f"its certificate is not accepted ({exc.verify_message}): "
            "check INGEST_KAFKA__SSL_CAFILE"
        ),
    ),
    (
        ssl.SSLError,
        lambda exc: (
            f"TLS fails ({getattr(exc, 'reason', None)}): check INGEST_KAFKA__SECURITY_PROTOCOL"
        ),
    ),
    (
        (errors.AuthenticationFailedError, errors.SaslAuthenticationFailed),
        lambda _: "it refuses this username or password",
    ),
    (
        (errors.UnsupportedSaslMechanismError, errors.AuthenticationMethodNotSupported),
        lambda _: "it does not offer this INGEST_KAFKA__SASL_MECHANISM",
    ),
    (errors.IllegalSaslStateError, lambda _: "it does not want SASL on this port"),
    (ValueError, lambda _: "not an address: write host:port"),
)
_PASSING: tuple[_Words, ...] = (
    (gaierror, lambda _: "this name cannot be resolved"),
    (ConnectionRefusedError, lambda _: "connection refused: nothing listens there"),
    (
        _AnsweredError,
        lambda _: (
            "it answers, but the cluster did not: can the addresses that its brokers advertise "
            "be reached from here?"
        ),
    ),
    (TimeoutError, lambda _: f"no answer within {ATTEMPT_SECONDS} s"),
    (
        Exception,
        lambda exc: (
            f"the connection fails ({type(exc).__name__}): "
            "check the port and INGEST_KAFKA__SECURITY_PROTOCOL"
        ),
    ),
)


async def why_unreachable(options: Mapping[str, Any]) -> IngestError:
    """Connect once more to each server, and return the error that says what stands in the way.

    A `SetupError` when every server says that the settings are wrong, else a
    `BrokerUnavailableError`.
    """
    servers: Sequence[str] = options["bootstrap_servers"]
    failures = await asyncio.gather(*(_failure(server, options) for server in servers))
    said = "; ".join(
        f"{server}: {in_words(exc)}" for server, exc in zip(servers, failures, strict=True)
    )
    hopeless = all(_fitting(exc, _FOR_AN_OPERATOR) for exc in failures)
    kind = SetupError if hopeless else BrokerUnavailableError
    return kind(f"no broker of INGEST_KAFKA__BOOTSTRAP_SERVERS can be used ({said})")


def in_words(exc: Exception) -> str:
    """Say for a person why a connection could not be made."""
    words = _fitting(exc, _FOR_AN_OPERATOR) or _fitting(exc, _PASSING)
    assert words is not None
    return words(exc)


def _fitting(exc: Exception, table: tuple[_Words, ...]) -> Callable[[Any], str] | None:
    return next((words for kinds, words in table if isinstance(exc, kinds)), None)


async def _failure(server: str, options: Mapping[str, Any]) -> Exception:
    host, _, port = server.rpartition(":")
    keys = options.keys() - {"bootstrap_servers"}
    try:
        connection = await create_conn(
            host.strip("[]"),
            int(port),
            request_timeout_ms=ATTEMPT_SECONDS * 1000,
            **{key: options[key] for key in keys},
        )
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is the reason
        return exc
    connection.close()
    return _AnsweredError()
