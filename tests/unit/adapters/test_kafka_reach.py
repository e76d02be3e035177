from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
from aiokafka import errors as kafka_errors

from ingest_service.adapters import kafka_admin
from ingest_service.adapters.kafka_admin import KafkaAdmin
from ingest_service.adapters.kafka_consumer import AuditConsumer
from ingest_service.adapters.kafka_offsets import log_bounds
from ingest_service.adapters.kafka_options import client_options
from ingest_service.adapters.kafka_producer import KafkaEventProducer
from ingest_service.adapters.kafka_reach import in_words, why_unreachable
from ingest_service.errors import BrokerUnavailableError, SetupError
from ingest_service.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Client = Callable[[KafkaSettings], Awaitable[None]]


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


async def administrate(kafka: KafkaSettings) -> None:
    async with KafkaAdmin(kafka):
        pass


async def consume(kafka: KafkaSettings) -> None:
    async with AuditConsumer(kafka, "group"):
        pass


async def produce(kafka: KafkaSettings) -> None:
    await KafkaEventProducer.open(kafka, linger_ms=0, compression=None)


async def ask_for_offsets(kafka: KafkaSettings) -> None:
    await log_bounds(kafka, "topic", 0)


CLIENTS = [administrate, consume, produce, ask_for_offsets]


@pytest.mark.parametrize("client", CLIENTS)
async def test_each_server_is_said_with_its_reason(client: Client) -> None:
    """Whatever wants to connect, with several servers each gets its own reason."""
    with pytest.raises(BrokerUnavailableError) as caught:
        await client(KafkaSettings(bootstrap_servers="localhost:1,no-such-host.invalid:2"))
    assert "INGEST_KAFKA__BOOTSTRAP_SERVERS" in str(caught.value)
    assert "localhost:1: " in str(caught.value)
    assert "no-such-host.invalid:2: this name cannot be resolved" in str(caught.value)


@pytest.mark.parametrize("client", CLIENTS)
async def test_address_without_port_is_a_fault_of_the_setting(client: Client) -> None:
    """Waiting would not help: the setting has to change."""
    with pytest.raises(SetupError, match="host:port"):
        await client(KafkaSettings(bootstrap_servers="localhost"))


@pytest.mark.parametrize("client", CLIENTS)
async def test_server_that_speaks_another_protocol_is_said(client: Client) -> None:
    """Something listens there, and it is no Kafka."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BrokerUnavailableError, match="check the port"):
            await client(KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}"))


@pytest.mark.kafka
async def test_server_that_answers_points_to_what_the_brokers_advertise(
    kafka_bootstrap: str,
) -> None:
    """A client that fails though every address answers is sent on to the cluster's own names."""
    options = client_options(KafkaSettings(bootstrap_servers=kafka_bootstrap))
    assert f"{kafka_bootstrap}: it answers, but" in str(await why_unreachable(options))


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
