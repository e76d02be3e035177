"""What the persister needs from Kafka, from the database and from the metrics: no more."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from ingest_service.errors import Stop
from ingest_service.events.record import Record, Row
from ingest_service.ledger import Entry, Head, Stream
from ingest_service.shapes import Bounds, Conflict, QuarantineRow


class Database(Protocol):
    """One connection to the database; every method may raise the errors of `errors`.

    Rows are paired with their stream's id. A method called outside `transaction` is its own.
    """

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Commit on leaving, roll back on an exception."""
        ...

    async def lock(self, stream_ids: Sequence[int]) -> None:
        """Own these streams until the transaction ends; end a frozen holder if need be."""
        ...

    async def heads(self, stream_ids: Sequence[int]) -> dict[int, Head]:
        """Return the last entry of each stream that has one."""
        ...

    async def copy_rows(self, rows: Iterable[tuple[int, Sequence[Row]]]) -> None:
        """Write rows straight in; `RowKeyTakenError` when a key is there already."""
        ...

    async def stage_rows(self, rows: Iterable[tuple[int, Sequence[Row]]]) -> list[Conflict]:
        """Write the rows whose key is free; return the others."""
        ...

    async def refuses(self, stream_id: int, rows: Sequence[Row]) -> bool:
        """Say whether the database refuses any of these rows as such; nothing stays written."""
        ...

    async def add_originals(self, originals: Sequence[tuple[int, int, bytes]]) -> None:
        """Keep packed records by stream and sequence."""
        ...

    async def add_quarantine(self, rows: Sequence[QuarantineRow]) -> None:
        """Keep records that could be no row."""
        ...

    async def append(self, entries: Sequence[Entry]) -> None:
        """Append ledger entries; `OwnershipLostError` when one does not continue its head."""
        ...

    async def make_partitions(self, days: Sequence[dt.date]) -> None:
        """Have the table's partitions made for these days."""
        ...

    async def stream(self, topic: str, partition: int) -> Stream:
        """Return the stream of the newest epoch; open the first one if there is none."""
        ...

    async def last_frame(self, stream: Stream, head: Head) -> bytes | None:
        """Return the frame of the record before `head.next_offset`, if it was kept."""
        ...

    async def rejected_in_a_row(self, stream_id: int) -> int:
        """Return how many records the last entries rejected without a row between them."""
        ...


class Source(Protocol):
    """The consumer: what is assigned to this worker, and the records of it."""

    @property
    def topic(self) -> str:
        """The topic that is read."""
        ...

    @property
    def epoch(self) -> int:
        """A number that grows with each assignment: work from an older one is void."""
        ...

    @property
    def joined(self) -> bool:
        """Whether the group has answered once: with partitions, or to stand by."""
        ...

    @property
    def assigned(self) -> Sequence[int]:
        """The partitions of this epoch, in order."""
        ...

    async def fetch(
        self, partitions: Sequence[int], max_records: int, seconds: float
    ) -> Mapping[int, Sequence[Record]]:
        """Return records by partition; none when nothing came in time.

        After any exception the position of each of these partitions is undefined: seek.
        """
        ...

    async def stand_by(self, seconds: float) -> None:
        """Keep the membership for this long while a writer has no partition."""
        ...

    def seek(self, partition: int, offset: int) -> None:
        """Read on from this offset; what was fetched beyond it is dropped."""
        ...

    def pause(self, partitions: Iterable[int]) -> None:
        """Stop fetching; `fetch` must go on being called, or the membership is lost."""
        ...

    def resume(self, partitions: Iterable[int]) -> None:
        """Fetch again."""
        ...

    async def bounds(self, partitions: Sequence[int]) -> dict[int, Bounds]:
        """Ask the broker what each log holds."""
        ...

    async def commit(self, offsets: Mapping[int, int]) -> bool:
        """Tell Kafka how far we are, for lag tools; say whether it was taken, never raise."""
        ...


class Observer(Protocol):
    """Where the persister's counts go, after the fact that they count."""

    def written(self, rows: Sequence[Row], seconds: float) -> None:
        """Count rows that a transaction of this length committed."""
        ...

    def quarantined(self, reasons: Mapping[str, int]) -> None:
        """Count records that are committed to quarantine."""
        ...

    def duplicates(self, count: int) -> None:
        """Count records that turned out to be there already."""
        ...

    def fenced(self) -> None:
        """Count a write that was refused because somebody else moved the head."""
        ...

    def write_error(self, kind: str) -> None:
        """Count a write that failed and will be tried again."""
        ...

    def database_available(self, seconds: float) -> None:
        """Note that the database took a batch, in this time."""
        ...

    def database_unavailable(self, why: str) -> None:
        """Note that the database cannot be written to now."""
        ...

    def partition_stopped(self, topic: str, partition: int, stop: Stop) -> None:
        """Note that this partition waits for an operator."""
        ...

    def delays(self, seconds: Mapping[float, int]) -> None:
        """Observe how long the way from Kafka time to commit was, and for how many records."""
        ...

    def durable_offset(self, topic: str, partition: int, offset: int) -> None:
        """Note that everything before this offset is durable."""
        ...

    def beat(self, loop: str, oldest_ms: int | None) -> None:
        """Note that this loop is alive, and the Kafka time of the oldest record that it holds."""
        ...

    def forget_partition(self, topic: str, partition: int) -> None:
        """Say no more about a partition that is no longer ours."""
        ...
