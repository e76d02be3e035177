from __future__ import annotations

import asyncio
import socket
import ssl

import pytest
from aiokafka import errors as kafka_errors

from ingest_service.adapters import kafka_admin
from ingest_service.adapters.kafka_admin import KafkaAdmin
from ingest_service.adapters.kafka_reach import in_words
from ingest_service.errors import BrokerUnavailableError, SetupError
from ingest_service.settings import KafkaSettings


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(-2, "canary"), "cannot be resolved"),
        (ConnectionRefusedError(111, "canary"), "connection refused"),
        (TimeoutError("canary"), "no answer within"),
        (ssl.SSLError(1, "canary"), "INGEST_KAFKA__SECURITY_PROTOCOL"),
        (ssl.SSLCertVerificationError(1, "x"), "INGEST_KAFKA__SSL_CAFILE"),
        (kafka_errors.AuthenticationFailedError("canary"), "refuses this username or password"),
        (kafka_errors.UnsupportedSaslMechanismError("canary"), "INGEST_KAFKA__SASL_MECHANISM"),
        (kafka_errors.IllegalSaslStateError("canary"), "does not want SASL"),
        (kafka_errors.KafkaConnectionError("canary"), "check the port"),
        (LookupError("canary"), "LookupError"),
    ],
)
def test_each_failure_is_said_in_words(error: Exception, said: str) -> None:
    """What a person can change is named; a library's text, which may hold anything, is not."""
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_message = "self-signed certificate"
    assert said in in_words(error)
    assert "canary" not in in_words(error)


async def entered(servers: str) -> None:
    async with KafkaAdmin(KafkaSettings(bootstrap_servers=servers)):
        pass


async def test_each_server_is_said_with_its_reason() -> None:
    """With several servers, each gets its own reason."""
    with pytest.raises(BrokerUnavailableError) as caught:
        await entered("localhost:1,no-such-host.invalid:2")
    assert "localhost:1: " in str(caught.value)
    assert "no-such-host.invalid:2: this name cannot be resolved" in str(caught.value)


async def test_address_without_port_is_a_fault_of_the_setting() -> None:
    """Waiting would not help: the setting has to change."""
    with pytest.raises(SetupError, match="host:port"):
        await entered("localhost")


async def test_server_that_speaks_another_protocol_is_said() -> None:
    """Something listens there, and it is no Kafka."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BrokerUnavailableError, match="check the port"):
            await entered(f"127.0.0.1:{port}")


async def refused(exc: Exception) -> None:
    raise exc


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (kafka_errors.TopicAuthorizationFailedError("canary"), SetupError),
        (kafka_errors.GroupAuthorizationFailedError("canary"), SetupError),
        (kafka_errors.ClusterAuthorizationFailedError("canary"), SetupError),
        (kafka_errors.RequestTimedOutError("canary"), BrokerUnavailableError),
        (TimeoutError("canary"), BrokerUnavailableError),
    ],
)
async def test_answers_are_translated_by_the_reaction(error: Exception, meaning: type) -> None:
    """What an administrator has to grant is a fault of the set-up; silence is not."""
    with pytest.raises(meaning) as caught:
        await kafka_admin._ask(refused(error))
    assert "canary" not in str(caught.value)
