"""Logins that have a role's rights, for what is tested as a user would run it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg


@asynccontextmanager
async def login(owner: asyncpg.Connection, dsn: str, role: str) -> AsyncIterator[str]:
    """Yield the DSN of a new user in this role; the user is gone afterwards."""
    name = f"user_{uuid4().hex[:12]}"
    await owner.execute(f"create role {name} login password 'p' in role {role}")
    parts = urlsplit(dsn)
    try:
        yield parts._replace(netloc=f"{name}:p@{parts.hostname}:{parts.port}").geturl()
    finally:
        await owner.execute(f"drop role {name}")
