"""The local database and the persister's login role in it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg

if TYPE_CHECKING:
    from stack.servers import Servers

DATABASE = "gateway_audit"
WRITER = "ingest_writer"


async def prepare_database(servers: Servers) -> str:
    """Return the owner's DSN to the audit database, made when it is not there."""
    connection = await asyncpg.connect(servers.dsn)
    try:
        if not await connection.fetchval("select 1 from pg_database where datname = $1", DATABASE):
            await connection.execute(f"create database {DATABASE}")
    finally:
        await connection.close()
    return urlsplit(servers.dsn)._replace(path=f"/{DATABASE}").geturl()


async def prepare_writer(owner_dsn: str, password: str) -> str:
    """Return the DSN of a login that may do what the persister does, and nothing else."""
    connection = await asyncpg.connect(owner_dsn)
    try:
        if not await connection.fetchval("select 1 from pg_roles where rolname = $1", WRITER):
            await connection.execute(f"create role {WRITER} login")
        # Each time: the role lives in the database's data, the password in the state folder.
        # Its alphabet is that of token_urlsafe, so it needs no quoting in SQL or in a DSN.
        await connection.execute(f"alter role {WRITER} password '{password}'")
        await connection.execute(f"grant gateway_audit_writer to {WRITER}")
    finally:
        await connection.close()
    address = urlsplit(owner_dsn)
    place = address.netloc.rpartition("@")[2]
    return address._replace(netloc=f"{WRITER}:{password}@{place}").geturl()
