"""Server processes that never outlive their starter, are reused while it lives, and stop clean."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .state import State

TETHER = Path(__file__).with_name("tether.py")
START_SECONDS = 60
STOP_SECONDS = 45  # the persister's own grace is 20


class StartFailedError(Exception):
    """A server did not come up; the message ends with what it last said."""


@dataclass(frozen=True, slots=True)
class Account:
    """An operating-system user to run a process as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it answers, and its process when it was started here."""

    name: str
    address: str
    process: subprocess.Popen[bytes] | None = None
    stop_signal: signal.Signals = signal.SIGTERM

    def is_alive(self) -> bool:
        """Tell whether a process that was started here still runs."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """End the process if it was started here; a reused server is left to its starter."""
        if self.process is None or not self.is_alive():
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def spawn(
    state: State,
    name: str,
    command: list[str],
    *,
    stop_signal: signal.Signals = signal.SIGTERM,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process tied to this one, its output in the state folder's log of that name.

    In a session of its own: Ctrl-C on the terminal reaches the starter alone, which then stops
    its children in order. Call it from the main thread: the tie is to the calling thread.
    """
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    tether = [sys.executable, "-I", "-S", str(TETHER)]
    tie = [str(number) for number in (os.getpid(), int(stop_signal), uid, gid)]
    with state.logs(name).open("ab") as log:
        process = subprocess.Popen(
            [*tether, *tie, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=None if environment is None else {**os.environ, **environment},
        )
    write_pid_file(state, name, stop_signal, process.pid)
    return process


def write_pid_file(
    state: State, name: str, stop_signal: signal.Signals, pid: int | None = None
) -> None:
    """Let other commands find a process: its number, its starter's, and how it is stopped."""
    numbers = (pid or os.getpid(), os.getpid(), int(stop_signal))
    state.pid_file(name).write_text(" ".join(str(number) for number in numbers) + "\n")


def wait_until_ready(
    state: State, name: str, process: subprocess.Popen[bytes], ready: Callable[[], bool]
) -> None:
    """Return when `ready` holds; raise StartFailedError when the process ends or time is up."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None:
            raise StartFailedError(f"{name} ended while starting: {last_words(state.logs(name))}")
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise StartFailedError(
                f"{name} was not ready after {START_SECONDS} s: {last_words(state.logs(name))}"
            )
        time.sleep(0.05)


def reusable(state: State, name: str) -> bool:
    """Tell whether the server of that name runs and its starter too.

    A server whose starter is gone is about to end, or was left over: it is ended here.
    """
    left = _Left.read(state.pid_file(name))
    if left is None:
        return False
    if left.process is not None and left.starter is not None:
        return True
    left.end()
    return False


def end_left(state: State, name: str) -> bool:
    """End the process of that name, whoever started it; tell whether there was one."""
    left = _Left.read(state.pid_file(name))
    return left is not None and left.end()


@dataclass(frozen=True, slots=True)
class _Left:
    """What a pid file names, as far as it still lives."""

    pid_file: Path
    process: psutil.Process | None
    starter: psutil.Process | None
    stop_signal: int

    @classmethod
    def read(cls, pid_file: Path) -> _Left | None:
        """Return what the file names; None without a file."""
        if not pid_file.exists():
            return None
        pid, starter, stop_signal = (int(word) for word in pid_file.read_text().split())
        written = pid_file.stat().st_mtime
        return cls(pid_file, _living(pid, written), _living(starter, written), stop_signal)

    def end(self) -> bool:
        """Ask the process to end, make it when it does not; tell whether there was one."""
        if self.process is not None:
            _signal(self.process, self.stop_signal)
            if not _gone_within(self.process, STOP_SECONDS):
                _signal(self.process, signal.SIGKILL)
                _gone_within(self.process, STOP_SECONDS)
        self.pid_file.unlink(missing_ok=True)
        return self.process is not None


def _living(pid: int, written: float) -> psutil.Process | None:
    """Return the process that had this number when the file was written, if it still lives."""
    try:
        process = psutil.Process(pid)
        # A number that was given anew belongs to a process younger than the file.
        same = process.create_time() <= written + 1
    except psutil.NoSuchProcess:
        return None
    return process if same and lives(process) else None


def lives(process: psutil.Process) -> bool:
    """Tell whether the process still does anything: one that only waits to be reaped does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _gone_within(process: psutil.Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while lives(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def last_words(log: Path, lines: int = 15) -> str:
    """Return the log's path and its last lines."""
    text = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
    return "\n".join([f"see {log}", *text])
