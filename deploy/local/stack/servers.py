"""Both servers: chosen, started, and stopped at the end."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import compose, kafka, postgres
from .choose import DATABASE, KAFKA, Source, choose
from .probe import facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .state import State


@dataclass(frozen=True, slots=True)
class Servers:
    """Where clients reach Kafka, and the DSN that may create everything in the database.

    `database_is_ours`: it was started here, so databases and roles may be made in it.
    """

    bootstrap: str
    dsn: str
    database_is_ours: bool


@contextmanager
def open_servers(state: State, say: Callable[[str], None]) -> Iterator[Servers]:
    """Choose, tell, start and yield both servers; stop those that were started here."""
    choices = {kind: choose(kind, facts(kind.variable, compose=True)) for kind in (KAFKA, DATABASE)}
    for choice in choices.values():
        say(choice.sentence)
    kafka_source, database_source = (choices[kind].source for kind in (KAFKA, DATABASE))
    services = {compose.KAFKA: kafka_source, compose.DATABASE: database_source}
    contained = [name for name, source in services.items() if source is Source.DOCKER]
    with ExitStack() as stops:
        if contained:
            stops.callback(compose.down, state)
            compose.up(state, contained)
        yield Servers(
            _kafka(state, kafka_source, stops),
            _database(state, database_source, stops),
            database_source is not Source.ENVIRONMENT,
        )


def _kafka(state: State, source: Source, stops: ExitStack) -> str:
    if source is Source.ENVIRONMENT:
        return os.environ[KAFKA.variable]
    if source is Source.DOCKER:
        return compose.kafka_bootstrap(state)
    server = kafka.start(state)
    stops.callback(server.stop)
    return server.address


def _database(state: State, source: Source, stops: ExitStack) -> str:
    if source is Source.ENVIRONMENT:
        return os.environ[DATABASE.variable]
    if source is Source.DOCKER:
        return compose.database_dsn(state)
    server = postgres.start(state)
    stops.callback(server.stop)
    return server.address
