"""The decision, pure: facts in, source and sentence out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

KAFKA_VERSION = "4.1.0"
KAFKA_IMAGE = f"apache/kafka:{KAFKA_VERSION}"
TIMESCALE_IMAGE = "timescale/timescaledb:2.19.3-pg17"


class Source(Enum):
    """Where a server comes from."""

    ENVIRONMENT = "environment"
    DOCKER = "docker"
    EMBEDDED = "embedded"


class NoServerError(Exception):
    """The forced or needed source is not to be had; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known before choosing.

    `engine` is why no Docker engine answers, or None when one does; `forced` is the value of
    STACK, empty when unset. An address may hold a password, so only its presence is a fact.
    """

    named: bool
    engine: str | None
    forced: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the two servers: how it is called, named, pulled and embedded."""

    title: str
    variable: str
    image: str
    embedded: str


KAFKA = Kind(
    "Kafka",
    "INGEST_KAFKA__BOOTSTRAP_SERVERS",
    KAFKA_IMAGE,
    f"embedded Apache Kafka {KAFKA_VERSION}",
)
DATABASE = Kind(
    "Database",
    "INGEST_DATABASE__DSN",
    TIMESCALE_IMAGE,
    "embedded PostgreSQL, without TimescaleDB",
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A source, and one line for people that says what was chosen and why."""

    source: Source
    sentence: str


def choose(kind: Kind, facts: Facts) -> Choice:
    """Environment first, then a Docker engine, then embedded; STACK forces the last two.

    Raises NoServerError when STACK asks for what is not there or is no known value.
    """
    if facts.named:
        why = f"the server that {kind.variable} names"
        return Choice(Source.ENVIRONMENT, f"{kind.title}: {why}")
    if facts.forced not in {"", "docker", "embedded"}:
        raise NoServerError(f"STACK={facts.forced} is not known: use docker or embedded, or unset")
    if facts.forced == "embedded":
        return Choice(Source.EMBEDDED, f"{kind.title}: {kind.embedded}, because STACK=embedded")
    if facts.engine is None:
        why = "because STACK=docker" if facts.forced else "because a Docker engine answers"
        return Choice(Source.DOCKER, f"{kind.title}: container {kind.image}, {why}")
    if facts.forced == "docker":
        raise NoServerError(
            f"STACK=docker, but no Docker engine answers ({facts.engine}): "
            "start one, or use STACK=embedded"
        )
    why = f"because no Docker engine answers ({facts.engine})"
    return Choice(Source.EMBEDDED, f"{kind.title}: {kind.embedded}, {why}")
