"""Fresh databases: one for each test, empty, gone afterwards."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator


@asynccontextmanager
async def fresh_database(server_dsn: str) -> AsyncIterator[str]:
    """Yield a superuser's DSN to a new, empty database on that server; drop it afterwards."""
    name = await _create(server_dsn)
    try:
        yield _dsn(server_dsn, name)
    finally:
        await _drop(server_dsn, name)


@contextmanager
def fresh_database_apart(server_dsn: str) -> Iterator[str]:
    """Do the same for a fixture that tests without an event loop use as well."""
    name = _run_apart(_create(server_dsn))
    try:
        yield _dsn(server_dsn, name)
    finally:
        _run_apart(_drop(server_dsn, name))


def _dsn(server_dsn: str, name: str) -> str:
    return urlsplit(server_dsn)._replace(path=f"/{name}").geturl()


async def _create(server_dsn: str) -> str:
    name = f"test_{uuid4().hex}"
    # By the write-ahead log, as PostgreSQL does it unless told, it takes five times as long.
    await _administer(server_dsn, f"create database {name} strategy file_copy")
    return name


async def _drop(server_dsn: str, name: str) -> None:
    await _administer(server_dsn, f"drop database {name} with (force)")


async def _administer(server_dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(server_dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _run_apart(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on a loop of its own, whether or not one runs in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
