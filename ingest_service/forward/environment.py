"""What the forwarder's pipeline needs from Kafka, from HTTP and from the metrics: no more."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from ingest_service.errors import Stop
from ingest_service.events.record import Record
from ingest_service.forward.breaker import State
from ingest_service.shapes import Bounds, HttpAnswer


class Source(Protocol):
    """A member of the sink's consumer group, and the records of its partitions."""

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
        """The partitions of this epoch, in order; each is paused until it is resumed."""
        ...

    async def fetch(
        self, partitions: Sequence[int], max_records: int, seconds: float
    ) -> Mapping[int, Sequence[Record]]:
        """Return records by partition. After any exception: seek these partitions."""
        ...

    async def stand_by(self, seconds: float) -> None:
        """Keep the membership for this long without a partition."""
        ...

    def seek(self, partition: int, offset: int) -> None:
        """Read on from this offset."""
        ...

    def pause(self, partitions: Iterable[int]) -> None:
        """Stop fetching; what was fetched is dropped."""
        ...

    def resume(self, partitions: Iterable[int]) -> None:
        """Fetch again."""
        ...

    async def bounds(self, partitions: Sequence[int]) -> dict[int, Bounds]:
        """Ask the broker what each log holds."""
        ...

    async def committed(self, partitions: Sequence[int]) -> dict[int, int | None]:
        """Ask the broker how far the group is; None where it never was."""
        ...

    async def offsets_at(self, partitions: Sequence[int], kafka_ms: int) -> dict[int, int | None]:
        """Ask for the first record that is not older than this; None where there is none."""
        ...

    async def commit(self, offsets: Mapping[int, int]) -> bool:
        """Tell the broker how far the sink is; say whether it was taken, never raise."""
        ...


class Sender(Protocol):
    """One sink's HTTP client."""

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, packed: bool = True
    ) -> HttpAnswer:
        """Send the body, gzipped unless told not to be.

        Raises `SinkUnavailableError` when no whole answer comes.
        """
        ...


class DeadLetters(Protocol):
    """The dead-letter topic."""

    async def send(
        self,
        source_partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
    ) -> None:
        """Return once all replicas have it; raise `IngestError`: nobody may go on without it."""
        ...


class DeliveryObserver(Protocol):
    """Where the counts and states of deliveries to one sink go."""

    def requested(self, entries: int, raw_bytes: int, sent_bytes: int, seconds: float) -> None:
        """Count a request that was answered, whatever the answer."""
        ...

    def retried(self, code: str) -> None:
        """Count a request that will be sent again, by the reason's code."""
        ...

    def available(self, seconds: float) -> None:
        """Note that the sink took something, in this time."""
        ...

    def breaker(self, state: State, why: str) -> None:
        """Show the breaker's new state, and why it is not closed."""
        ...

    def dead_lettered(self, code: str) -> None:
        """Count a record that is in the dead letters now."""
        ...

    def dead_letters_unavailable(self, why: str | None) -> None:
        """Show that dead letters cannot be written, or (None) that they can again."""
        ...


class Observer(DeliveryObserver, Protocol):
    """Where one sink's counts and states go, after the fact that they count."""

    def settled(self, forwarded: int, filtered: int, delays: Mapping[float, int]) -> None:
        """Count events that the sink has, or that the settings leave out, and their delays."""
        ...

    def pending(self, requests: int) -> None:
        """Show how many requests wait for their acknowledgement."""
        ...

    def expired(self, requests: int) -> None:
        """Count requests whose acknowledgement never came: they are sent again."""
        ...

    def committed(self, partition: int, offset: int) -> None:
        """Show how far the sink is, as the broker knows it."""
        ...

    def oldest(self, kafka_ms: int | None) -> None:
        """Show the Kafka time of the oldest record that was read and is not settled."""
        ...

    def partition_stopped(self, partition: int, stop: Stop) -> None:
        """Show a partition that waits for an operator."""
        ...

    def partition_goes_on(self, partition: int) -> None:
        """Show that it does not any more."""
        ...

    def forget_partition(self, partition: int) -> None:
        """Say no more about a partition that another worker has now."""
        ...

    def beat(self) -> None:
        """Note that the loop is alive."""
        ...
