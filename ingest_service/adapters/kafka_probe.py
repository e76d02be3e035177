"""Asks the broker of each partition whether it answers, on connections of its own.

A connection that can be opened says little: a frozen broker's kernel opens it. And one broker of
three that hangs stops only the partitions that it leads, so each leader is asked.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from aiokafka import errors as kafka_errors
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.protocol.metadata import MetadataRequest

from ingest_service.adapters.kafka_options import client_options
from ingest_service.adapters.kafka_reach import in_words
from ingest_service.errors import BrokerUnavailableError
from ingest_service.settings import KafkaSettings
from ingest_service.telemetry.health import Status
from ingest_service.telemetry.probing import PATIENCE_SECONDS, Answer

_SECONDS = PATIENCE_SECONDS * 0.8
"""For one broker: the others' answers must be told in time."""

Address = tuple[str, int]


class _Layout(NamedTuple):
    """Which broker leads which partitions of the topic; -1 in a broker's place: nobody does."""

    leaders: Mapping[Address, Sequence[int]]
    leaderless: Sequence[int]


class KafkaProbe:
    """Keeps a connection to each leader of the topic. For the length of an `async with`."""

    def __init__(self, kafka: KafkaSettings) -> None:
        options = client_options(kafka)
        hosts = collect_hosts(options.pop("bootstrap_servers"), randomize=False)
        self._bootstrap: Sequence[Address] = [(host, port) for host, port, _ in hosts]
        self._options = options | {"request_timeout_ms": int(_SECONDS * 1000)}
        self._topic = kafka.topic
        self._leaders: Mapping[Address, Sequence[int]] = {}
        self._connections: dict[Address, Any] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for address in list(self._connections):
            self._drop(address)

    async def ask(self) -> Answer:
        """Return how the topic's leaders are; raises `BrokerUnavailableError` when none answers."""
        asked = list(self._leaders or self._bootstrap)
        answers = await asyncio.gather(*map(self._layout, asked), return_exceptions=True)
        layouts = [each for each in answers if isinstance(each, _Layout)]
        failures = {
            address: each
            for address, each in zip(asked, answers, strict=True)
            if isinstance(each, Exception)
        }
        if not layouts:
            self._leaders = {}
            raise BrokerUnavailableError(f"no broker answers ({_said(failures)})")
        self._leaders = layouts[-1].leaders
        for address in self._connections.keys() - self._leaders.keys():
            self._drop(address)
        return _judged(layouts[-1], failures)

    async def _layout(self, address: Address) -> _Layout:
        """Ask one broker who leads what: what it says, and that it says anything."""
        try:
            async with asyncio.timeout(_SECONDS):
                connection = await self._connected(address)
                answer = await connection.send(MetadataRequest([self._topic], False))
        except (
            BaseException
        ):  # also when nobody waits any longer: a late answer would be in the way
            self._drop(address)
            raise
        return _read(answer)

    async def _connected(self, address: Address) -> Any:
        connection = self._connections.get(address)
        if connection is None or not connection.connected():
            connection = await create_conn(*address, **self._options)
            self._connections[address] = connection
        return connection

    def _drop(self, address: Address) -> None:
        connection = self._connections.pop(address, None)
        if connection is not None:
            connection.close()


def _read(answer: Any) -> _Layout:
    brokers: dict[int, Address] = {each[0]: (each[1], each[2]) for each in answer.brokers}
    leaders: dict[Address, list[int]] = {}
    leaderless: list[int] = []
    for code, _, _, partitions in answer.topics:
        if code:
            raise BrokerUnavailableError(f"the topic: {kafka_errors.for_code(code).__name__}")
        for _, number, leader, *_rest in partitions:
            if leader in brokers:
                leaders.setdefault(brokers[leader], []).append(number)
            else:
                leaderless.append(number)
    return _Layout(leaders, sorted(leaderless))


def _judged(layout: _Layout, failures: Mapping[Address, Exception]) -> Answer:
    """Say which partitions cannot be read now; a broker that leads nothing is nobody's loss."""
    silent = {address: failures[address] for address in layout.leaders.keys() & failures.keys()}
    said = [
        f"{_said({address: exc})} and leads partitions {_listed(layout.leaders[address])}"
        for address, exc in silent.items()
    ]
    if layout.leaderless:
        said.append(f"nobody leads partitions {_listed(layout.leaderless)}")
    return Answer(Status.DEGRADED, "; ".join(said)) if said else Answer()


def _listed(partitions: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(partitions)))


def _said(failures: Mapping[Address, Exception]) -> str:
    return "; ".join(f"{host}:{port}: {_words(exc)}" for (host, port), exc in failures.items())


def _words(exc: Exception) -> str:
    if isinstance(exc, BrokerUnavailableError):
        return str(exc)
    silent = TimeoutError | kafka_errors.RequestTimedOutError
    return f"no answer within {_SECONDS:g} s" if isinstance(exc, silent) else in_words(exc)
