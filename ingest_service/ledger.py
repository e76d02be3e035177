"""The chain, pure: what is hashed, and how an entry is sealed.

Two chains run beside each other. The *digest* steps once a record and depends on the records
alone, so any consumer of the topic can compute it as a witness, and a failover that cuts batches
anew arrives at the same value. The *hash* steps once an entry and binds what was decided about
the records. Source of the rules: the project's ledger contract; `docs/design.md` has the why.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, TypeAlias

import msgspec

from ingest_service.events.record import Limits, Record

Verdict: TypeAlias = str | tuple[int, int] | None
"""What became of a record: None, a row; text, the rejection's code; (stream id, offset), a
duplicate of the row that stands there."""

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]

ROW = b"\xc0"
"""The verdict `row` as it is encoded: MessagePack's nil, since nearly every record gets it."""

_encode = msgspec.msgpack.Encoder().encode


class Stream(NamedTuple):
    """One partition in one life of its topic: a recreated topic is a new epoch."""

    id: int
    topic: str
    partition: int
    epoch: int


class Head(NamedTuple):
    """A stream's last entry: `next_offset` *is* the durable offset, the rest is what follows it."""

    sequence: int
    next_offset: int
    digest: bytes
    hash: bytes


class Entry(NamedTuple):
    """One ledger entry, as the table holds it."""

    stream_id: int
    sequence: int
    kind: str
    first_offset: int
    next_offset: int
    row_count: int
    duplicate_count: int
    quarantine_count: int
    contract: int
    limits: str
    digest: bytes
    previous_hash: bytes | None
    hash: bytes

    @property
    def head(self) -> Head:
        """The head that a stream has once this entry is its last."""
        return Head(self.sequence, self.next_offset, self.digest, self.hash)


class Rules(NamedTuple):
    """What decided about an entry's records: the contract's version, and the limits as JSON."""

    contract: int
    limits: str

    @classmethod
    def of(cls, contract: int, limits: Limits) -> "Rules":
        """Return the rules with the limits in the one form that an entry's hash covers."""
        return cls(contract, canonical_json(limits._asdict()))


# --- records -----------------------------------------------------------------------------------


def frame(record: Record) -> bytes:
    """Return the bytes that stand for a record in the digest and in the originals.

    MessagePack `[offset, Kafka time in ms, key, value, [[header name, header value], ...]]`, with
    keys, values and header names as binary and integers in their shortest form.
    """
    return _encode(
        (
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            _binary_names(record.headers),
        )
    )


def encode_headers(headers: Headers) -> bytes:
    """Return headers as a frame holds them: quarantine keeps them in this form too."""
    return _encode(_binary_names(headers))


def _binary_names(headers: Headers) -> list[tuple[bytes, bytes | None]]:
    if not headers:  # nearly always, and a comprehension costs as much as the encoding
        return []
    return [(name.encode("utf-8", "surrogateescape"), value) for name, value in headers]


def first_digest(stream: Stream, offset: int) -> bytes:
    """Return the digest that a stream starts with: over its name and where it begins."""
    return sha256(_encode(["start", stream.topic, stream.partition, stream.epoch, offset])).digest()


def extend_digest(digest: bytes, frames: Iterable[bytes]) -> bytes:
    """Return the digest after these records: `d(n) = SHA-256(d(n-1) ‖ frame(n))`."""
    for each in frames:
        digest = sha256(digest + each).digest()
    return digest


def gap_digest(digest: bytes, first_offset: int, next_offset: int) -> bytes:
    """Return the digest after a gap: one step over its marker."""
    return sha256(digest + _encode(["gap", first_offset, next_offset])).digest()


# --- entries -----------------------------------------------------------------------------------


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces; jsonb changes both, so hashing needs one form."""
    return msgspec.json.encode(value, order="sorted").decode()


def encode_verdicts(verdicts: Iterable[Verdict]) -> bytes:
    """Return the verdicts one after another: what an entry's hash covers of them."""
    return b"".join(ROW if verdict is None else _encode(verdict) for verdict in verdicts)


def start_entry(stream: Stream, offset: int, rules: Rules) -> Entry:
    """Return a stream's first entry: it begins at `offset`, with nothing before it."""
    return seal(
        Entry(
            stream_id=stream.id,
            sequence=0,
            kind="start",
            first_offset=offset,
            next_offset=offset,
            row_count=0,
            duplicate_count=0,
            quarantine_count=0,
            contract=rules.contract,
            limits=rules.limits,
            digest=first_digest(stream, offset),
            previous_hash=None,
            hash=b"",
        )
    )


def gap_entry(stream_id: int, head: Head, next_offset: int, rules: Rules) -> Entry:
    """Return the entry by which an operator accepts that records up to `next_offset` are gone."""
    return seal(
        Entry(
            stream_id=stream_id,
            sequence=head.sequence + 1,
            kind="gap",
            first_offset=head.next_offset,
            next_offset=next_offset,
            row_count=0,
            duplicate_count=0,
            quarantine_count=0,
            contract=rules.contract,
            limits=rules.limits,
            digest=gap_digest(head.digest, head.next_offset, next_offset),
            previous_hash=head.hash,
            hash=b"",
        )
    )


def records_entry(
    stream_id: int, head: Head, digest: bytes, verdicts: Sequence[Verdict], rules: Rules
) -> Entry:
    """Return the entry for records that continue `head`, one verdict each."""
    rows = verdicts.count(None)
    duplicates = sum(isinstance(verdict, tuple) for verdict in verdicts)
    return seal(
        Entry(
            stream_id=stream_id,
            sequence=head.sequence + 1,
            kind="records",
            first_offset=head.next_offset,
            next_offset=head.next_offset + len(verdicts),
            row_count=rows,
            duplicate_count=duplicates,
            quarantine_count=len(verdicts) - rows - duplicates,
            contract=rules.contract,
            limits=rules.limits,
            digest=digest,
            previous_hash=head.hash,
            hash=b"",
        ),
        encode_verdicts(verdicts),
    )


def seal(entry: Entry, verdicts: bytes = b"") -> Entry:
    """Return the entry with its hash."""
    return entry._replace(hash=entry_hash(entry, verdicts))


def entry_hash(entry: Entry, verdicts: bytes = b"") -> bytes:
    """Return SHA-256 over everything that an entry says and what was decided about its records."""
    return sha256(
        _encode(
            (
                entry.previous_hash,
                entry.stream_id,
                entry.sequence,
                entry.kind,
                entry.first_offset,
                entry.next_offset,
                entry.row_count,
                entry.duplicate_count,
                entry.quarantine_count,
                entry.contract,
                entry.limits,
                entry.digest,
                verdicts,
            )
        )
    ).digest()
