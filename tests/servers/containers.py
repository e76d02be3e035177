"""Apache Kafka and TimescaleDB in containers, for the length of a test session."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from stack.choose import KAFKA_IMAGE, TIMESCALE_IMAGE
from stack.state import LOOPBACK, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testcontainers.core.wait_strategies import WaitStrategy

KAFKA_SETTINGS = {
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093,INTERNAL://:9094",
    # The port that clients see is the host's: the broker cannot reach itself there, and
    # transactions need that it can.
    "KAFKA_INTER_BROKER_LISTENER_NAME": "INTERNAL",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": (
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT"
    ),
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "4",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "4",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
}
DATABASE_SETTINGS = {"max_connections": "200", "max_wal_size": "4GB", "fsync": "off"}
START_SECONDS = 300  # the first time on a machine pulls the image


@contextmanager
def kafka() -> Iterator[str]:
    """Run a broker and yield its bootstrap address."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    port = free_port()  # known beforehand, because the broker has to advertise it
    container = DockerContainer(KAFKA_IMAGE)
    container.ports["9092"] = (LOOPBACK, port)
    for name, value in KAFKA_SETTINGS.items():
        container.with_env(name, value)
    container.with_env(
        "KAFKA_ADVERTISED_LISTENERS",
        f"PLAINTEXT://{LOOPBACK}:{port},INTERNAL://localhost:9094",
    )
    ready = LogMessageWaitStrategy("Kafka Server started")
    with container.waiting_for(_patient(ready)):
        yield f"{LOOPBACK}:{port}"


@contextmanager
def timescale() -> Iterator[str]:
    """Run TimescaleDB and yield a superuser's DSN to its maintenance database."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import ExecWaitStrategy

    port = free_port()
    settings = [word for item in DATABASE_SETTINGS.items() for word in ("-c", "=".join(item))]
    container = DockerContainer(TIMESCALE_IMAGE)
    container.ports["5432"] = (LOOPBACK, port)
    container.with_env("POSTGRES_PASSWORD", "test").with_command(["postgres", *settings])
    # Over TCP: while the image sets its database up it listens on the socket alone.
    ask = ["pg_isready", "-q", "-h", LOOPBACK, "-U", "postgres"]
    with container.waiting_for(_patient(ExecWaitStrategy(ask))):
        yield f"postgresql://postgres:test@{LOOPBACK}:{port}/postgres"


def _patient(strategy: WaitStrategy) -> WaitStrategy:
    return strategy.with_startup_timeout(START_SECONDS).with_poll_interval(0.1)
