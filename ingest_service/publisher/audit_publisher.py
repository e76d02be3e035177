"""The gateway's side: decisions become records, and nobody hears "recorded" before they are."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self
from uuid import UUID

from ingest_service.adapters.kafka_producer import KafkaEventProducer
from ingest_service.events.audit_event import GatewayAuditEvent
from ingest_service.events.identity import new_event_id
from ingest_service.events.record import Limits
from ingest_service.publisher.gathering import Telemetry
from ingest_service.publisher.outbox import Outbox
from ingest_service.publisher.outcome import BufferFull, NotRecorded, PublisherForked
from ingest_service.publisher.recording import Recording
from ingest_service.publisher.retries import Retries
from ingest_service.publisher.riding import Rides
from ingest_service.publisher.sealing import heartbeat, seal
from ingest_service.publisher.session import Entry, Producer
from ingest_service.settings import KafkaSettings
from ingest_service.telemetry.publisher_metrics import PublisherMetrics

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

OnSettled = Callable[[NotRecorded | None], None]

_log = logging.getLogger(__name__)


class AuditPublisher(Recording):
    """Publishes audit events: `async with AuditPublisher(KafkaSettings(...)) as publisher`.

    `log_gateway_event` fails closed: it returns when all in-sync replicas have the event, or
    raises `NotRecorded`. `enqueue` fails open: it returns at once, and `on_not_recorded` hears of
    it later. `start` does not wait for the broker: until it answers, events wait in the buffer,
    which `max_events` and `max_bytes` bound.

    For one event loop in one process: use it from there only, and open it after a fork.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        deadline_seconds: float = 5.0,
        close_seconds: float = 10.0,
        max_events: int = 10_000,
        max_bytes: int = 64 << 20,
        linger_ms: int = 0,
        compression: str | None = "lz4",
        telemetry_seconds: float = 15.0,
        instance: str | None = None,
        on_not_recorded: Callable[[NotRecorded], None] | None = None,
        limits: Limits | None = None,
        registry: "CollectorRegistry | None" = None,
        open_producer: Callable[[], Awaitable[Producer]] | None = None,
    ) -> None:
        telemetry = Telemetry()
        super().__init__(telemetry)
        self._rides = Rides(telemetry, telemetry_seconds)
        self._outbox = Outbox(
            open_producer
            or partial(
                KafkaEventProducer.open, kafka, linger_ms=linger_ms, compression=compression
            ),
            max_events=max_events,
            max_bytes=max_bytes,
        )
        self._retries = Retries()
        self._deadline_seconds = deadline_seconds
        self._close_seconds = close_seconds
        self._instance = instance or f"{socket.gethostname()}-{os.getpid()}"
        self._on_not_recorded = on_not_recorded
        self._limits = limits or Limits()
        self._pid = os.getpid()
        self._ended = False
        self._telling: asyncio.Task[None] | None = None
        self._metrics = PublisherMetrics(registry, self._outbox.__len__, max_events)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Begin to connect, in the background; return at once."""
        self._check_process()
        self._outbox.start()
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell_telemetry(), name="audit-telemetry")

    async def connected(self, seconds: float) -> bool:
        """Wait so long for the broker, for a readiness probe; publishing does not need it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._outbox.connected.wait()
        return self._outbox.connected.is_set()

    async def log_gateway_event(self, event: GatewayAuditEvent) -> str:
        """Return the audit id once all in-sync replicas have the event.

        Raises `NotRecorded` after the deadline, or at once when the buffer is full or the broker
        refuses the event; `ValueError` when `event_type`, `decision` or `timestamp` break the
        contract. Calling it again with the same event is safe: its record is the same, byte for
        byte, and written once. (So telemetry never rides with it.)
        """
        done: asyncio.Future[NotRecorded | None] = asyncio.get_running_loop().create_future()
        audit_id = self._retries.id_of(event) or new_event_id()
        entry = self._submit(event, audit_id, None, done.set_result)
        await asyncio.wait({done}, timeout=self._deadline_seconds)
        if not done.done():
            self._metrics.late.inc()
            self._outbox.give_up(entry)
        if not done.done():  # it is on its way, and may still arrive
            self._retries.remember(event, audit_id)
            raise NotRecorded(entry.audit_id, self._outbox.trouble, maybe_recorded=True)
        self._retries.forget(event)
        failure = done.result()
        if failure is not None:
            raise failure
        return entry.audit_id

    def enqueue(self, event: GatewayAuditEvent, on_settled: OnSettled | None = None) -> str:
        """Take the event and return its audit id at once; raise `BufferFull` when there is no room.

        It is recorded later, or `on_settled` (else the publisher's `on_not_recorded`) is told
        why not. A SIGKILL loses what is in the buffer.
        """
        taken = self._rides.take_for(event, time.monotonic())
        entry = self._submit(event, new_event_id(), taken, on_settled or self._report)
        return entry.audit_id

    async def room(self) -> None:
        """Wait until the buffer is at most half full: for who would flood it otherwise."""
        await self._outbox.room()

    async def close(self) -> int:
        """Flush within `close_seconds`, then disconnect; return how many are not recorded.

        Each of those is reported. It returns in that time also when the broker is dead.
        """
        if os.getpid() != self._pid or self._ended:
            return 0
        self._ended = True
        if self._telemetry:
            self._heartbeat()
        if self._telling is not None:
            self._telling.cancel()
        left = await self._outbox.finish(self._close_seconds)
        self._metrics.unregister()
        return left

    def _submit(
        self,
        event: GatewayAuditEvent,
        fallback_id: UUID,
        taken: Telemetry | None,
        on_settled: OnSettled,
    ) -> Entry:
        try:
            self._check_process()
            telemetry = None if taken is None else self._telemetry_json(taken)
            sealed = seal(event, fallback_id, telemetry, time.time_ns() // 1_000_000, self._limits)
            settled = partial(self._settled, on_settled, taken, time.perf_counter())
            entry = Entry(sealed.audit_id, sealed.key, sealed.value, settled)
            self._outbox.put(entry)
        except BaseException as exc:
            self._rides.put_back(taken)
            if isinstance(exc, BufferFull):
                self._metrics.refused.inc()
            raise
        if sealed.trimmed:
            self._metrics.trimmed.inc()
        return entry

    def _telemetry_json(self, taken: Telemetry) -> dict[str, object]:
        return {"instance": self._instance, **taken.as_json()}

    def _settled(
        self,
        on_settled: OnSettled,
        taken: Telemetry | None,
        taken_at: float,
        failure: NotRecorded | None,
    ) -> None:
        if failure is None:
            self._metrics.recorded.inc()
            self._metrics.acknowledge_seconds.observe(time.perf_counter() - taken_at)
        else:
            self._rides.put_back(taken)
            (self._metrics.unknown if failure.maybe_recorded else self._metrics.not_sent).inc()
        try:
            on_settled(failure)
        except Exception:  # noqa: BLE001 - it is told, and it is not our event
            _log.exception("a callback of the gateway failed; the event is settled all the same")

    async def _tell_telemetry(self) -> None:
        wait = self._rides.interval_seconds
        while True:
            await asyncio.sleep(wait)
            if self._rides.seconds_to_heartbeat(time.monotonic()) <= 0:
                self._heartbeat()
            wait = self._rides.seconds_to_heartbeat(time.monotonic())

    def _heartbeat(self) -> None:
        taken = self._rides.take_alone(time.monotonic())
        event = heartbeat(self._instance)
        try:
            self._submit(event, new_event_id(), taken, _ignore)
        except NotRecorded as exc:  # the deltas are back, and leave with the next one
            _log.warning("telemetry waits: %s", exc.why)

    def _report(self, failure: NotRecorded | None) -> None:
        if failure is not None:
            (self._on_not_recorded or _complain)(failure)

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise PublisherForked


def _ignore(failure: NotRecorded | None) -> None:
    """Nobody waits for a heartbeat; what it carried is put back when it failed."""


def _complain(failure: NotRecorded) -> None:
    _log.error("%s", failure)
