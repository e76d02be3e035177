"""Which server a test session uses: named in the environment, in a container, or embedded."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from servers import community, containers
from stack import choose, kafka, postgres, probe
from stack.choose import Source
from stack.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator

KAFKA_VARIABLE = "TEST_KAFKA_BOOTSTRAP_SERVERS"
TIMESCALE_VARIABLE = "TEST_DATABASE_DSN_TIMESCALE"
PLAIN_VARIABLE = "TEST_DATABASE_DSN_PLAIN"
# What a test database may lose when the machine dies is nobody's loss.
TEST_SETTINGS = {"fsync": "off", "shared_buffers": "128MB"}


@contextmanager
def temporary_state() -> Iterator[State]:
    """Yield a state folder for this session alone, with the checkout's downloads.

    Not below pytest's own temporary folder: that one is closed to the account that PostgreSQL
    runs as for root.
    """
    root = Path(tempfile.mkdtemp(prefix="ingest-test-"))
    try:
        yield State(root, State.shared().downloads)
    finally:
        shutil.rmtree(root)


@contextmanager
def kafka_bootstrap() -> Iterator[str]:
    """Run or find a broker and yield its bootstrap address."""
    source = choose.choose(choose.KAFKA, probe.facts(KAFKA_VARIABLE, compose=False)).source
    with ExitStack() as stack:
        if source is Source.ENVIRONMENT:
            yield os.environ[KAFKA_VARIABLE]
        elif source is Source.DOCKER:
            yield stack.enter_context(containers.kafka())
        else:
            server = kafka.start(stack.enter_context(temporary_state()))
            stack.callback(server.stop)
            yield server.address


@contextmanager
def timescale_dsn() -> Iterator[str]:
    """Run or find TimescaleDB; without an engine the test is skipped, under CI that is an error."""
    facts = probe.facts(TIMESCALE_VARIABLE, compose=False)
    if facts.named:
        yield os.environ[TIMESCALE_VARIABLE]
    elif facts.engine is None:
        with containers.timescale() as dsn:
            yield dsn
    else:
        _without_timescale(facts.engine if not facts.forced else f"STACK={facts.forced}")


@contextmanager
def plain_dsn() -> Iterator[str]:
    """Run or find PostgreSQL without TimescaleDB."""
    if named := os.environ.get(PLAIN_VARIABLE):
        yield named
        return
    with temporary_state() as state:
        server = postgres.start(state, TEST_SETTINGS)
        try:
            yield server.address
        finally:
            server.stop()


@contextmanager
def community_address() -> Iterator[str]:
    """Run TimescaleDB Community and yield a superuser's DSN without a database's name."""
    with temporary_state() as state:
        server = community.start(state)
        try:
            yield server.address
        finally:
            server.stop()


def need_compose() -> None:
    """Return if containers can be composed; else the test is skipped, under CI an error."""
    if (fault := probe.compose_fault()) is not None:
        _missing(f"no containers ({fault}): start a Docker engine with its compose plugin")


def _without_timescale(why: str) -> NoReturn:
    _missing(
        f"no TimescaleDB ({why}): start a Docker engine, "
        f"or name a server in {TIMESCALE_VARIABLE} (a superuser's DSN)"
    )


def _missing(message: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
