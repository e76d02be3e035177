"""The composition root: opens everything under one stack, runs it, closes it in named stages."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TypeAlias

import structlog

from ingest_service import __version__
from ingest_service.adapters.database import WriterConnection
from ingest_service.adapters.kafka_consumer import AuditConsumer
from ingest_service.adapters.kafka_offsets import sink_offsets
from ingest_service.adapters.progress_notes import ProgressNotes
from ingest_service.compliance.anchoring import anchor_by_the_clock
from ingest_service.dependencies import persister_probed
from ingest_service.errors import DatabaseUnavailableError
from ingest_service.events.decode import CONTRACT, decoder
from ingest_service.figures import persister_figures
from ingest_service.garbage import collect_by_the_clock, count_no_allocations
from ingest_service.ledger import Rules
from ingest_service.persist.assignment import Duty
from ingest_service.persist.batching import BatchLimits
from ingest_service.persist.commits import commit_durable, commit_offsets
from ingest_service.persist.observer import WorkerObserver
from ingest_service.persist.progress import note_progress
from ingest_service.persist.writer import Writer
from ingest_service.settings import Settings
from ingest_service.telemetry.endpoint import Endpoint
from ingest_service.telemetry.health import Health
from ingest_service.telemetry.log_level import change_level_on_hangup
from ingest_service.telemetry.logs import telling_repeats
from ingest_service.telemetry.watch import watch
from ingest_service.telemetry.worker_metrics import new_registry

GRACE_SECONDS = 20.0
"""How long a worker may take to write what it holds when it is told to stop."""

Errands: TypeAlias = Mapping[str, Callable[[], Coroutine[None, None, None]]]
"""What runs beside the writers until the end, by name."""

_log = structlog.get_logger(__name__)


async def persist(settings: Settings) -> None:
    """Run a persister until SIGTERM or SIGINT; then write what has gathered and leave.

    Raises `SetupError` when only a person can help, `BrokerUnavailableError` when no broker
    answers at the start. A database that is away is waited for.
    """
    dsn = settings.require_dsn()
    count_no_allocations()
    registry, health, stopping = new_registry(), Health(), asyncio.Event()
    observer = WorkerObserver(registry, health)
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
        await stack.enter_async_context(persister_probed(settings, health))
        await stack.enter_async_context(persister_figures(settings, observer, registry))
        connections = [
            await stack.enter_async_context(WriterConnection(dsn))
            for _ in range(settings.database.writers)
        ]
        with suppress(DatabaseUnavailableError):
            # A wrong password or a missing table shows here, before the group is disturbed.
            await connections[0].heads([])
        source = await stack.enter_async_context(
            AuditConsumer(settings.kafka, settings.kafka.persister_group)
        )
        duty = _duty(settings, source, observer, stopping)
        writers = [
            Writer(index, len(connections), connection, duty)
            for index, connection in enumerate(connections)
        ]
        notes = await stack.enter_async_context(ProgressNotes(dsn))
        noting = partial(
            note_progress, source, observer.durable, notes, partial(sink_offsets, settings.kafka)
        )
        _stop_on_signals(stopping)
        errands: Errands = {"note-progress": noting, **_anchoring(settings, dsn, source)}
        await _run(writers, source, observer, errands, stopping)
        _log.info("stopping", step="telling Kafka how far the ledger is")
        await commit_durable(source, observer, {})
        _log.info("stopping", step="leaving the group, closing connections")
    _log.info("stopped")


def _duty(
    settings: Settings, source: AuditConsumer, observer: WorkerObserver, stopping: asyncio.Event
) -> Duty:
    limits = settings.events.limits
    return Duty(
        source=source,
        observer=observer,
        decode=decoder(CONTRACT, limits),
        rules=Rules.of(CONTRACT, limits),
        limits=BatchLimits(linger_seconds=settings.database.linger_ms / 1000),
        garbage_limit=settings.events.garbage_limit,
        stopping=stopping,
    )


def _anchoring(settings: Settings, dsn: str, source: AuditConsumer) -> Errands:
    """Return what signs the heads of this worker's partitions, where there is a key to do it."""
    if settings.anchor.key_file is None:
        return {}
    return {
        "anchor": partial(
            anchor_by_the_clock, dsn, settings.kafka, settings.anchor, lambda: source.assigned
        )
    }


def _stop_on_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)


async def _run(
    writers: list[Writer],
    source: AuditConsumer,
    observer: WorkerObserver,
    errands: Errands,
    stopping: asyncio.Event,
) -> None:
    """Run the loops until told to stop, then give the writers the grace to finish."""
    try:
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(watch(source, observer), name="watch"),
                group.create_task(commit_offsets(source, observer), name="commit-offsets"),
                *(group.create_task(run(), name=name) for name, run in errands.items()),
                group.create_task(collect_by_the_clock(), name="collect-garbage"),
            ]
            working = [group.create_task(writer.run(), name=writer.name) for writer in writers]
            await stopping.wait()
            observer.health.stop()
            _log.info("stopping", step=f"writing what has gathered, within {GRACE_SECONDS:g} s")
            _, late = await asyncio.wait(working, timeout=GRACE_SECONDS)
            if late:
                _log.warning("grace is over", left="what was not written stays in Kafka")
            for task in (*late, *beside):
                task.cancel()
    except BaseExceptionGroup as exc:
        raise _first(exc) from None


def _first(group: BaseExceptionGroup) -> BaseException:
    """Return what went wrong first: a task group wraps even a single message for a person."""
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf
