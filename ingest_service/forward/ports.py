"""What the forwarder's pipeline needs from a sink: no more. A new sink is one module."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from ingest_service.events.record import Record
from ingest_service.forward.answers import Answer, Outcome, Why


class Limits(NamedTuple):
    """What one request may hold, uncompressed; `usual_entries` when there is no backlog."""

    max_entries: int
    max_bytes: int
    max_entry_bytes: int
    usual_entries: int = 100


class Filtered(NamedTuple):
    """The settings leave this event out; `rule` is the one that said so."""

    rule: str


class Unsendable(NamedTuple):
    """The sink would cut or refuse this event: dead-letter it, and send `marked` in its place.

    `marked` is a shortened entry that says so and names the audit id and the Kafka position.
    """

    why: Why
    marked: bytes | None


Encoded = bytes | Filtered | Unsendable
"""What becomes of a record: an entry for the sink, or why there is none."""

Entry = tuple[Record, bytes]
"""One event as its sink takes it, and before it the record that it came from."""


class Request(NamedTuple):
    """One POST. The body is uncompressed: who sends it puts gzip on, and its header."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Acks(Protocol):
    """How a sink says later that what it accepted is durable."""

    def request(self, ack_ids: Sequence[int]) -> Request:
        """Return the question which of these are acknowledged."""
        ...

    def judge(self, answer: Answer) -> frozenset[int] | Outcome:
        """Return those that are. The sink says so once: note them before anything else."""
        ...


class Sink(Protocol):
    """A SIEM: how an event is written for it, how much it takes, what its answers mean.

    Nothing here does I/O. `request` reads the token anew, so that one rotated on disk is used.
    """

    @property
    def name(self) -> str:
        """`splunk` or `datadog`: the metrics' label value and the consumer group's suffix."""
        ...

    @property
    def limits(self) -> Limits:
        """What one request may hold."""
        ...

    @property
    def acks(self) -> Acks | None:
        """How acceptance is acknowledged, or None where the answer to the request says it."""
        ...

    def encode(self, records: Sequence[Record]) -> Sequence[Encoded]:
        """Return these records of one partition, each as the sink takes it, in their order.

        Never raises, whatever is in a record, and none changes what becomes of its neighbours.
        """
        ...

    def request(self, bodies: Sequence[bytes]) -> Request:
        """Return the request that sends these entries."""
        ...

    def judge(self, answer: Answer, count: int) -> Outcome:
        """Say what an answer to a request with `count` entries means."""
        ...


Secret = Callable[[], str]
"""Returns a token as it is now; `SetupError` when there is none any more."""
