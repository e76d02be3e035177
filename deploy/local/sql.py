"""`make sql`: psql on the database of the running `make up`, with the wheel's own client."""

from __future__ import annotations

import os
import sys
from urllib.parse import unquote, urlsplit

from stack.postgres import psql
from stack.state import State


def main() -> None:
    """Become psql; a query as an argument is run and its answer printed."""
    dsn = State.shared().kept("dsn")
    if not dsn:
        sys.exit("There is no database yet: `make up` first, and leave it running.")
    parts = urlsplit(dsn)
    # Not on the command line, where every user of the machine could read it.
    environment = {**os.environ, "PGPASSWORD": unquote(parts.password or "")}
    address = parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", "@")).geturl()
    query = [word for text in sys.argv[1:] for word in ("--pset", "pager=off", "--command", text)]
    os.execve(psql(), ["psql", *query, address], environment)


if __name__ == "__main__":
    main()
