"""The forwarder's composition root: one pipeline a sink, and nothing that they share but Kafka."""

import asyncio
import signal
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import NamedTuple

import structlog

from ingest_service import __version__
from ingest_service.adapters.http import HttpSender, Tls
from ingest_service.adapters.kafka_dead_letters import DeadLetterProducer
from ingest_service.adapters.kafka_forwarder import ForwardConsumer
from ingest_service.dependencies import forwarder_probed
from ingest_service.errors import SetupError
from ingest_service.figures import forwarder_figures
from ingest_service.forward.beginning import EARLIEST, Beginning
from ingest_service.forward.observer import SinkObserver
from ingest_service.forward.pipeline import Outside, Pipeline
from ingest_service.forward.ports import Sink
from ingest_service.forward.sinks.enabled import NAMES, enabled
from ingest_service.garbage import collect_by_the_clock, count_no_allocations
from ingest_service.settings import Settings
from ingest_service.telemetry.endpoint import Endpoint
from ingest_service.telemetry.health import Health
from ingest_service.telemetry.log_level import change_level_on_hangup
from ingest_service.telemetry.logs import telling_repeats
from ingest_service.telemetry.sink_metrics import SinkMetrics
from ingest_service.telemetry.watch import watch
from ingest_service.telemetry.worker_metrics import new_registry

GRACE_SECONDS = 20.0
"""How long a forwarder may take to send what it holds when it is told to stop."""

_log = structlog.get_logger(__name__)


class Destination(NamedTuple):
    """A sink that is on, and who vouches for its server."""

    sink: Sink
    tls: Tls


def destinations(settings: Settings) -> Mapping[str, Destination]:
    """Return each sink that the settings turn on. Raises `SetupError` when one lacks its token."""
    splunk = settings.splunk
    tls = {"splunk": Tls(verify=splunk.verify_tls, cafile=splunk.cafile)}
    sinks = enabled(settings, socket.gethostname())
    return {name: Destination(sink, tls.get(name, Tls())) for name, sink in sinks.items()}


async def forward(
    settings: Settings, only: str | None = None, beginning: Beginning = EARLIEST
) -> None:
    """Forward to every sink that is on, or to one alone, until SIGTERM or SIGINT.

    Raises `SetupError` when only a person can help, `BrokerUnavailableError` when no broker
    answers at the start. A sink that is away or refuses us is waited for.
    """
    chosen = _chosen(destinations(settings), only)
    count_no_allocations()
    registry, health, stopping = new_registry(), Health(), asyncio.Event()
    metrics = SinkMetrics(registry)
    change_level_on_hangup()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(telling_repeats())
        port = stack.enter_context(
            Endpoint(settings.http.host, settings.http.port, registry, health)
        )
        _log.info(
            "serving metrics and health",
            host=settings.http.host,
            port=port,
            topic=settings.kafka.topic,
            version=__version__,
        )
        tls = {name: each.tls for name, each in chosen.items()}
        await stack.enter_async_context(forwarder_probed(settings, health, tls))
        await stack.enter_async_context(forwarder_figures(settings, metrics))
        branches = [
            _Branch(
                settings,
                each,
                SinkObserver(each.sink.name, settings.kafka.topic, metrics, health),
                beginning,
            )
            for each in chosen.values()
        ]
        _on_signals(stopping, branches)
        await _run(branches, health, stopping)
    _log.info("stopped")


def _chosen(on: Mapping[str, Destination], only: str | None) -> Mapping[str, Destination]:
    if only is not None and only not in NAMES:
        raise SetupError(f"there is no sink {only}: there are {', '.join(NAMES)}")
    chosen = {name: each for name, each in on.items() if only in (None, name)}
    if not chosen:
        raise SetupError(
            f"{'no sink' if only is None else only} is on: set INGEST_SPLUNK__URL and "
            "INGEST_SPLUNK__TOKEN, or INGEST_DATADOG__API_KEY"
        )
    return chosen


class _Branch:
    """One sink with everything that is its own: consumer, connections, dead letters, breaker."""

    def __init__(
        self,
        settings: Settings,
        destination: Destination,
        observer: SinkObserver,
        beginning: Beginning,
    ) -> None:
        self.name = destination.sink.name
        self._kafka = settings.kafka
        self._destination = destination
        self._observer = observer
        self._beginning = beginning
        self._pipeline: Pipeline | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Open all of it, run until told to stop, close it."""
        structlog.contextvars.bind_contextvars(sink=self.name)
        group = self._kafka.forwarder_group(self.name)
        async with (
            HttpSender(self._destination.tls) as sender,
            DeadLetterProducer(self._kafka) as dead_letters,
            ForwardConsumer(self._kafka, group) as source,
        ):
            outside = Outside(
                sink=self._destination.sink,
                source=source,
                sender=sender,
                dead_letters=dead_letters,
                observer=self._observer,
                beginning=self._beginning,
            )
            self._pipeline = Pipeline(outside, stopping)
            async with asyncio.TaskGroup() as tasks:
                beside = [
                    tasks.create_task(watch(source, self._observer), name="watch"),
                    tasks.create_task(collect_by_the_clock(), name="collect-garbage"),
                ]
                await self._pipeline.run()
                for task in beside:
                    task.cancel()

    def flush(self) -> None:
        """Send what has gathered."""
        if self._pipeline is not None:
            self._pipeline.flush()


def _on_signals(stopping: asyncio.Event, branches: list[_Branch]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGUSR1, _flush, branches)


def _flush(branches: list[_Branch]) -> None:
    for branch in branches:
        branch.flush()


async def _run(branches: list[_Branch], health: Health, stopping: asyncio.Event) -> None:
    """Run the pipelines until told to stop, then give them the grace to finish."""
    try:
        async with asyncio.TaskGroup() as group:
            working = [
                group.create_task(branch.run(stopping), name=branch.name) for branch in branches
            ]
            await stopping.wait()
            health.stop()
            _log.info("stopping", step=f"sending what has gathered, within {GRACE_SECONDS:g} s")
            _, late = await asyncio.wait(working, timeout=GRACE_SECONDS)
            if late:
                _log.warning("grace is over", left="what was not sent stays in Kafka")
            for task in late:
                task.cancel()
    except BaseExceptionGroup as exc:
        raise _first(exc) from None


def _first(group: BaseExceptionGroup) -> BaseException:
    """Return what went wrong first: a task group wraps even a single message for a person."""
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf
