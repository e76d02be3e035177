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
STOP_SECONDS = 15


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

    def stop(self) -> None:
        """End the process if it was started here; a reused server is left to its starter."""
        if self.process is None:
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
    state.pid_file(name).write_text(f"{process.pid} {os.getpid()}\n")
    return process


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
    pid_file = state.pid_file(name)
    if not pid_file.exists():
        return False
    pid, starter = (_living(int(word), pid_file) for word in pid_file.read_text().split())
    if pid is not None and starter is not None:
        return True
    if pid is not None:
        end(pid)
    pid_file.unlink(missing_ok=True)
    return False


def end(process: psutil.Process) -> None:
    """Ask a process to end, and make it when it does not."""
    try:
        process.terminate()
        process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)
    except psutil.NoSuchProcess:
        return


def end_by_pid_file(pid_file: Path) -> bool:
    """End the process that the file names, if it is still that one; tell whether it was."""
    words = pid_file.read_text().split() if pid_file.exists() else []
    process = _living(int(words[0]), pid_file) if words else None
    if process is not None:
        end(process)
    pid_file.unlink(missing_ok=True)
    return process is not None


def last_words(log: Path, lines: int = 15) -> str:
    """Return the log's path and its last lines."""
    text = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
    return "\n".join([f"see {log}", *text])


def _living(pid: int, pid_file: Path) -> psutil.Process | None:
    """Return the process that had this number when the file was written, if it still lives."""
    try:
        process = psutil.Process(pid)
        # A number that was given anew belongs to a process younger than the file.
        same = process.create_time() <= pid_file.stat().st_mtime + 1
        alive = process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if same and alive else None
