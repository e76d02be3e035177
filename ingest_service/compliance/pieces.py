"""A run of a stream's entries that can be checked by itself, and what came of it.

Pieces are small enough that a run which is broken off loses little, and that several processes
share them evenly. Both shapes pass between processes and into the file of `--resume`: places and
counts, never an event's content.
"""

from typing import NamedTuple

from ingest_service.compliance.chain import Anchored
from ingest_service.compliance.findings import Told
from ingest_service.compliance.passage import Blind, StreamReport
from ingest_service.compliance.positions import Bits
from ingest_service.ledger import Stream
from ingest_service.shapes import Range


class Piece(NamedTuple):
    """Entries of one stream, from sequence to sequence, with the anchors that stand in them.

    `last_hash` is the last entry's: two pieces that are equal are of the same entries.
    """

    stream: Stream
    first: int
    last: int
    records: int
    last_hash: bytes
    anchors: tuple[Anchored, ...] = ()


class Lost(NamedTuple):
    """A row that must stand and is not there under its key; `elsewhere`: another one is."""

    stream: Stream
    sequence: int
    offset: int
    elsewhere: tuple[str, ...] | None


class Outcome(NamedTuple):
    """What checking a piece showed, for whoever puts the pieces together."""

    piece: Piece
    report: StreamReport
    findings: Told
    covered: list[Range]
    blind: list[Blind]
    positions: list[Bits]
    lost: list[Lost]
    checked_at: float
    """Unix time."""
