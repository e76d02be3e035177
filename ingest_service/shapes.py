"""What passes between the pipelines and the adapters, and is neither record nor ledger entry."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias

from ingest_service.events.record import Row

Place: TypeAlias = tuple[int, int]
"""Where something stands: (stream id, offset)."""

Range: TypeAlias = tuple[int, int, int]
"""(stream id, first offset, the offset after the last)."""


class Conflict(NamedTuple):
    """A staged row whose key is taken: by which row, and whether that one says the same."""

    stream_id: int
    offset: int
    taken_by: tuple[int, int]
    same_content: bool


class QuarantineRow(NamedTuple):
    """One row of `gateway_audit_quarantine`, in column order; Kafka time in microseconds."""

    stream_id: int
    kafka_offset: int
    kafka_timestamp_us: int
    key: bytes | None
    headers: bytes
    value: bytes | None
    reason: str
    message: str


class Bounds(NamedTuple):
    """What a partition's log holds: from `start` up to, and without, `end`."""

    start: int
    end: int


class HttpAnswer(NamedTuple):
    """What a server said to one request; `sent_bytes` is the body's size on the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent_bytes: int
    seconds: float


class Claim(NamedTuple):
    """What an original says about the table of events: this row stands at this place."""

    stream_id: int
    offset: int
    row: Row


class QuarantineClaim(NamedTuple):
    """What an original says about the quarantine; Kafka time in milliseconds."""

    offset: int
    kafka_timestamp: int
    key: bytes | None
    headers: bytes
    value: bytes | None
    reason: str


class QuarantineDifference(NamedTuple):
    """Where quarantine is not as the originals say: in these columns, or only one has it."""

    offset: int
    is_said: bool
    is_there: bool
    columns: list[str]


class RepeatedId(NamedTuple):
    """An id that stands more than once: at several times, or in several copies of one key."""

    times: int
    copies: int
    ids_at_two_times: int
    keys_twice: int
    stream_id: int
    offset: int


class Cut(NamedTuple):
    """A run of a stream's ledger entries: sequences, offsets, records, the last one's hash."""

    first: int
    last: int
    first_offset: int
    next_offset: int
    records: int
    last_hash: bytes


class Scope(NamedTuple):
    """What to ask whole tables about: these streams (None: any), or only this time of them.

    With a time: what says that it is of that time, and what stands in the ranges.
    """

    stream_ids: Sequence[int] | None = None
    since: datetime | None = None
    until: datetime | None = None
    ranges: Sequence[Range] = ()


class Storage(NamedTuple):
    """How large the audit is, and what was made and purged of it since the last answer."""

    size_bytes: int
    new_chunks: int
    new_purges: int


class Proof(NamedTuple):
    """When everything was last verified, by how it ended, and signed; Unix times, None: never."""

    good_at: float | None
    bad_at: float | None
    findings: int | None
    anchored_at: float | None
