"""Kafka and TimescaleDB in containers, by deploy/compose.yaml."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from .process import StartFailedError
from .state import LOOPBACK, REPOSITORY

if TYPE_CHECKING:
    from .state import State

FILE = REPOSITORY / "deploy" / "compose.yaml"
KAFKA = "kafka"
DATABASE = "timescaledb"
STARTED = "compose"  # kept: the services of the last start


def up(state: State, services: list[str]) -> None:
    """Start these services and return when they are healthy; those that run are left alone."""
    state.keep(STARTED, " ".join(services))
    done = _compose(state, "up", "--detach", "--wait", *services)
    if done != 0:
        raise StartFailedError(
            "docker compose could not start the servers (see above); "
            "STACK=embedded runs them without containers"
        )


def down(state: State, *, clean: bool = False) -> bool:
    """Stop and remove the containers, with their data if `clean`; tell whether any were started."""
    started = state.kept(STARTED)
    if started is None:
        return False
    _compose(state, "down", *(["--volumes"] if clean else []))
    state.keep(STARTED, "")
    return started != ""


def kafka_bootstrap(state: State) -> str:
    """Return where clients on this machine reach the broker."""
    return f"{LOOPBACK}:{state.kept('compose_kafka')}"


def database_dsn(state: State) -> str:
    """Return a superuser's DSN to the maintenance database."""
    port = state.kept("compose_postgres")
    return f"postgresql://postgres:{state.password('superuser')}@{LOOPBACK}:{port}/postgres"


def _compose(state: State, *arguments: str) -> int:
    # Pulling the images may take minutes and is worth watching; stopping is not.
    progress = "auto" if sys.stderr.isatty() and arguments[0] == "up" else "quiet"
    command = ["docker", "compose", "--file", str(FILE), "--project-name", project(state)]
    command += ["--progress", progress]
    running = subprocess.run(
        [*command, "ps", "--quiet"],
        env=_environment(state, ours=True),
        capture_output=True,
        check=False,
    )
    environment = _environment(state, ours=bool(running.stdout.strip()))
    return subprocess.run([*command, *arguments], env=environment, check=False).returncode


def project(state: State) -> str:
    """Return a name of this folder's own: two checkouts share neither containers nor data."""
    return f"ingest-service-{hashlib.sha256(str(state.root).encode()).hexdigest()[:8]}"


def _environment(state: State, *, ours: bool) -> dict[str, str]:
    return {
        **os.environ,
        "KAFKA_PORT": str(state.port("compose_kafka", wish=9092, ours=ours)),
        "POSTGRES_PORT": str(state.port("compose_postgres", wish=5432, ours=ours)),
        "POSTGRES_PASSWORD": state.password("superuser"),
    }
