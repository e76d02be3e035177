"""Both servers: chosen, started, and stopped at the end."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from . import compose, kafka, postgres
from .choose import DATABASE, KAFKA, Source, choose
from .probe import facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .process import Server
    from .state import State


@dataclass(frozen=True, slots=True)
class Servers:
    """Where clients reach Kafka, and the DSN that may create everything in the database.

    `database_is_ours`: it was started here, so databases and roles may be made in it.
    """

    bootstrap: str
    dsn: str
    database_is_ours: bool


class _Ways(NamedTuple):
    """How a server's address is come by, from each source."""

    variable: str
    contained: Callable[[State], str]
    start: Callable[[State], Server]

    def address(self, state: State, source: Source, stops: ExitStack) -> str:
        if source is Source.ENVIRONMENT:
            return os.environ[self.variable]
        if source is Source.DOCKER:
            return self.contained(state)
        server = self.start(state)
        stops.callback(server.stop)
        return server.address


_KAFKA = _Ways(KAFKA.variable, compose.kafka_bootstrap, kafka.start)
_DATABASE = _Ways(DATABASE.variable, compose.database_dsn, postgres.start)


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
        bootstrap = _KAFKA.address(state, kafka_source, stops)
        dsn = _DATABASE.address(state, database_source, stops)
        yield Servers(bootstrap, dsn, database_source is not Source.ENVIRONMENT)
