"""The product's own commands, run with settings for the local servers."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stack.process import Server, spawn
from stack.state import LOOPBACK

if TYPE_CHECKING:
    from sinks import Sinks
    from stack.state import State

COMMAND = Path(sys.executable).with_name("ingest-service")
TOPIC = "gateway.audit.events"
# Enough to watch for an hour and a half, slow enough for a laptop.
SAMPLES, RATE = "1000000", "200"


class StepFailedError(Exception):
    """A command did not do what it had to; the message ends with what it said."""


@dataclass(frozen=True, slots=True)
class Service:
    """`ingest-service` on the local servers: as the owner for set-up, as the writer for work."""

    state: State
    bootstrap: str
    owner_dsn: str
    writer_dsn: str
    sinks: Sinks
    http_port: int
    forward_port: int

    @property
    def topic(self) -> str:
        """The topic of audit events."""
        return os.environ.get("INGEST_KAFKA__TOPIC", TOPIC)

    def writing_as(self, dsn: str) -> Service:
        """Return the same with the persister's own DSN."""
        return replace(self, writer_dsn=dsn)

    def settings(self, *, owner: bool) -> dict[str, str]:
        """Return the environment that makes a command use the local servers."""
        return {
            "INGEST_KAFKA__BOOTSTRAP_SERVERS": self.bootstrap,
            "INGEST_KAFKA__TOPIC": self.topic,
            "INGEST_DATABASE__DSN": self.owner_dsn if owner else self.writer_dsn,
            "INGEST_HTTP__HOST": LOOPBACK,
            "INGEST_HTTP__PORT": str(self.http_port),
            **self.sinks.settings(),
        }

    def run(self, *arguments: str, owner: bool = False) -> None:
        """Run a command to its end; raise StepFailedError with what it said if it fails."""
        done = subprocess.run(
            [str(COMMAND), *arguments],
            env={**os.environ, **self.settings(owner=owner)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StepFailedError(f"ingest-service {' '.join(arguments)}: {done.stdout.strip()}")

    def start(self, name: str, *arguments: str) -> Server:
        """Start a command that goes on, its output in the log of that name."""
        command = [str(COMMAND), *arguments]
        process = spawn(self.state, name, command, environment=self.settings(owner=False))
        return Server(name, "", process)

    def forward(self) -> Server:
        """Start the forwarder for both sinks, with a metrics port of its own."""
        return replace(self, http_port=self.forward_port).start("forward", "forward")

    def publish_samples(self) -> Server:
        """Start a stream of believable events: SAMPLES of them, RATE a second."""
        samples = os.environ.get("SAMPLES", SAMPLES)
        rate = os.environ.get("RATE", RATE)
        return self.start("publish", "publish", "--sample", samples, "--rate", rate)

    def write_environment(self) -> Path:
        """Write the writer's settings as a file for a shell to source, closed to everybody else."""
        path = self.state.root / "env"
        path.touch(mode=0o600)
        lines = [f"export {k}={shlex.quote(v)}" for k, v in self.settings(owner=False).items()]
        path.write_text("\n".join(lines) + "\n")
        return path
