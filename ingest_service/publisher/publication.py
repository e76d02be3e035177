"""Publishing many lines: as fast as the broker takes them, with an account of every one."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from ingest_service.adapters.kafka_admin import KafkaAdmin
from ingest_service.adapters.kafka_producer import KafkaEventProducer
from ingest_service.errors import BrokerUnavailableError, IngestError, SetupError
from ingest_service.events.record import Limits
from ingest_service.events.rejection import Rejection
from ingest_service.publisher.lines import seal_line
from ingest_service.publisher.outbox import Outbox
from ingest_service.publisher.outcome import NotRecorded
from ingest_service.publisher.session import Entry
from ingest_service.settings import KafkaSettings

_MAX_EVENTS = 10_000
_MAX_BYTES = 64 << 20
_LINGER_MS = 5  # here throughput counts, not the latency of one event
_COMPRESSION = "lz4"
_CONNECT_SECONDS = 10.0
_FLUSH_SECONDS = 10.0


@dataclass
class Account:
    """What became of each line; nothing is in two of these numbers."""

    read: int = 0
    recorded: int = 0
    refused: int = 0
    not_recorded: int = 0
    last_line: int = 0
    unsettled: dict[int, None] = field(default_factory=dict)
    first_failed: int | None = None

    @property
    def settled(self) -> int:
        """How many lines have an outcome."""
        return self.recorded + self.refused + self.not_recorded

    @property
    def settled_up_to(self) -> int:
        """The last line up to which all are recorded or refused: the rest may be sent again."""
        open_lines = [self.last_line + 1, *self.unsettled]
        if self.first_failed is not None:
            open_lines.append(self.first_failed)
        return min(open_lines) - 1

    @property
    def all_recorded(self) -> bool:
        """Whether every line that was read is recorded."""
        return self.recorded == self.read


Complain = Callable[[int, str], None]


class Publication:
    """Feeds lines to an outbox; `complain` hears the number of each line that failed, and why."""

    def __init__(
        self, outbox: Outbox, account: Account, limits: Limits, complain: Complain
    ) -> None:
        self.account = account
        self._outbox = outbox
        self._limits = limits
        self._complain = complain

    async def feed(self, lines: AsyncIterator[bytes]) -> None:
        """Take all lines, no faster than the buffer empties; blank ones only count as lines."""
        async for line in lines:
            self.account.last_line += 1
            if line and not line.isspace():
                self._publish(self.account.last_line, line)
                await self._outbox.room()

    def _publish(self, number: int, line: bytes) -> None:
        account = self.account
        account.read += 1
        sealed = seal_line(line, time.time_ns() // 1_000_000, self._limits)
        if isinstance(sealed, Rejection):
            account.refused += 1
            self._complain(number, f"{sealed.reason}: {sealed.message}")
            return
        account.unsettled[number] = None
        settled = partial(self._settled, number)
        self._outbox.put(Entry(sealed.audit_id, sealed.key, sealed.value, settled))

    def _settled(self, number: int, failure: NotRecorded | None) -> None:
        account = self.account
        del account.unsettled[number]
        if failure is None:
            account.recorded += 1
            return
        account.not_recorded += 1
        account.first_failed = min(number, account.first_failed or number)
        self._complain(number, str(failure))


@asynccontextmanager
async def connected(kafka: KafkaSettings) -> AsyncIterator[Outbox]:
    """Yield an outbox with a connection, or raise what stands in its way; flush it at the end."""
    opening = partial(
        KafkaEventProducer.open, kafka, linger_ms=_LINGER_MS, compression=_COMPRESSION
    )
    outbox = Outbox(opening, max_events=_MAX_EVENTS, max_bytes=_MAX_BYTES)
    outbox.start()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CONNECT_SECONDS):
                await outbox.connected.wait()
        if not outbox.connected.is_set():
            raise await _why_not(kafka, outbox.trouble)
        yield outbox
    finally:
        await outbox.finish(_FLUSH_SECONDS)


async def _why_not(kafka: KafkaSettings, trouble: str) -> IngestError:
    """Ask the cluster itself: a producer waits for a topic that is not there without a word."""
    try:
        async with KafkaAdmin(kafka) as admin:
            if kafka.topic not in await admin.describe([kafka.topic]):
                return SetupError(
                    f"nothing was published: the topic {kafka.topic} does not exist: "
                    "run `ingest-service topics create`"
                )
    except IngestError as exc:
        return type(exc)(f"nothing was published: {exc}")
    return BrokerUnavailableError(f"nothing was published: {trouble}")
