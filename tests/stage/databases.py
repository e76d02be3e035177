"""The database side of a fault: another way to it, a server of the test's own, what it does now."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import psutil

from servers.sources import TEST_SETTINGS, temporary_state
from stack import postgres
from stack.process import StartFailedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from stack.process import Server
    from stack.state import State

COPY_DATA = b"PGCOPY\n\xff\r\n\x00"
"""How the data of a binary COPY begins."""
COMMIT = b"commit\x00"

_FILE_BYTES = 17 * 1024 * 1024
"""A little more than a segment of the write-ahead log."""

_COPYING = """
select pid from pg_stat_activity
where datname = current_database() and state = 'active' and query ilike 'copy %'
    and wait_event = 'ClientRead'
"""


def address_of(dsn: str) -> str:
    """Return the "host:port" of a DSN."""
    return urlsplit(dsn).netloc.rpartition("@")[2]


def rerouted(dsn: str, address: str) -> str:
    """Return the DSN by way of another "host:port"."""
    parts = urlsplit(dsn)
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@{address}").geturl()


@asynccontextmanager
async def session(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Yield a session of the test's own."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def inside_copy(dsn: str) -> list[int]:
    """Return the backends that wait for their client in the middle of a COPY."""
    async with session(dsn) as connection:
        return [row["pid"] for row in await connection.fetch(_COPYING)]


class OwnServer:
    """An embedded PostgreSQL that a test may kill, freeze and start again with the same data."""

    def __init__(self, state: State, settings: Mapping[str, str]) -> None:
        self._state = state
        self._settings = settings
        self._server: Server = postgres.start(state, settings)
        self.disk: SmallDisk | LimitedFiles | None = None

    @property
    def dsn(self) -> str:
        """A superuser's DSN to the maintenance database."""
        return self._server.address

    def kill(self) -> None:
        """Kill the postmaster; its backends notice by themselves."""
        process = self._server.process
        assert process is not None
        process.kill()
        process.wait()

    def start_again(self) -> None:
        """Start it with the same data, once the last backend of the killed one is gone."""
        for attempt in range(20):
            try:
                self._server = postgres.start(self._state, self._settings)
            except StartFailedError:
                if attempt == 19:
                    raise
            else:
                return

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to the postmaster and every process below it."""
        assert self._server.process is not None
        postmaster = psutil.Process(self._server.process.pid)
        postmaster.send_signal(number)
        for process in postmaster.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # a session that has just ended
                process.send_signal(number)

    def is_alive(self) -> bool:
        """Tell whether the postmaster runs: with a full disk it may have given up."""
        return self._server.is_alive()

    def stop(self) -> None:
        """End it, whatever state it is in."""
        if self._server.is_alive():
            self.signal_all(signal.SIGCONT)
        self._server.stop()


class SmallDisk:
    """A tmpfs that a server's data is on, which can be filled up and given room again."""

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"

    def fill(self, leave_bytes: int) -> None:
        """Take what is free, but for so much."""
        free = shutil.disk_usage(self._ballast.parent).free
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free - leave_bytes)

    def make_room(self) -> None:
        """Give back what was taken."""
        self._ballast.unlink()


class LimitedFiles:
    """No file may grow past a bound: in place of a small disk where nobody may mount one.

    There is room again after a start without the bound.
    """

    def __init__(self, server: OwnServer) -> None:
        self._server = server
        server.stop()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, limits[1]))
        try:
            server.start_again()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    def fill(self, leave_bytes: int) -> None:
        """Leave it to the writer: its table meets the limit after a while."""

    def make_room(self) -> None:
        """Lift the limit."""
        self._server.stop()
        self._server.start_again()


@contextmanager
def own_server(**settings: str) -> Iterator[OwnServer]:
    """Yield a server of the test's own, gone afterwards."""
    with temporary_state() as state, _running(state, settings) as server:
        yield server


@contextmanager
def own_server_on_small_disk(megabytes: int, **settings: str) -> Iterator[OwnServer]:
    """Yield a server whose data is on a disk of that size, as far as one may be mounted here."""
    with temporary_state() as state:
        folder = state.folder(postgres.NAME)
        options = ["-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
        mounted = subprocess.run(["mount", *options], check=False, capture_output=True)
        try:
            with _running(state, settings) as server:
                server.disk = LimitedFiles(server) if mounted.returncode else SmallDisk(folder)
                yield server
        finally:
            if not mounted.returncode:
                subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def _running(state: State, settings: Mapping[str, str]) -> Iterator[OwnServer]:
    server = OwnServer(state, TEST_SETTINGS | settings)
    try:
        yield server
    finally:
        server.stop()
