"""The one ignored folder that everything local lives in."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[3]
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class State:
    """Paths under one folder, and the few values that a second start must find again."""

    root: Path
    downloads: Path

    @classmethod
    def shared(cls) -> State:
        """Return the folder of this checkout: INGEST_STATE_DIR, else .state in the repository."""
        root = Path(os.environ.get("INGEST_STATE_DIR") or REPOSITORY / ".state").resolve()
        return cls(root, root / "downloads")

    def logs(self, name: str) -> Path:
        """Return where the process of that name writes what it has to say."""
        return self.folder("logs") / f"{name}.log"

    def pid_file(self, name: str) -> Path:
        """Return the file that names the running process and its starter."""
        return self.folder("run") / f"{name}.pid"

    def folder(self, name: str) -> Path:
        """Return a folder of this name, made when missing."""
        path = self.root / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def password(self, name: str) -> str:
        """Return the password of that name: random, made once, readable by its owner only."""
        return self.kept(name) or self.keep(name, secrets.token_urlsafe(18))

    def port(self, name: str, *, wish: int = 0, ours: bool = False) -> int:
        """Return the port kept under that name, or a new one when it is taken or there is none.

        `wish` is what a first one should be if it is free. `ours`: it is taken by our own server.
        """
        kept = int(self.kept(name) or 0)
        for port in (kept, wish):
            if port and (is_free(port) or (ours and port == kept)):
                break
        else:
            port = free_port()
        if port != kept:
            self.keep(name, str(port))
        return port

    def kept(self, name: str) -> str | None:
        """Return the value kept under that name, if any."""
        return self._kept().get(name)

    def keep(self, name: str, value: str) -> str:
        """Keep a value for later starts, readable by its owner only, and return it."""
        with self.lock("kept"):
            new = self.root / "kept.new"
            new.touch(mode=0o600)
            new.write_text(json.dumps({**self._kept(), name: value}, indent=1))
            new.replace(self.root / "kept.json")
        return value

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold everybody else's start of the same thing off, across processes."""
        with (self.folder("run") / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _kept(self) -> dict[str, str]:
        path = self.root / "kept.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def accepts(port: int) -> bool:
    """Tell whether somebody answers on this port of the loopback address."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
