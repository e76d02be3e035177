"""What a run has checked so far, in a file: the next run goes on behind it.

A line a piece: places, counts and digests, never an event's content. A piece counts as done when
its entries are the same, by their last hash, and the same anchors stand in it; everything that
asks whole tables is asked anew. The rows of a piece were as they were when it was checked.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from ingest_service.compliance.pieces import Outcome, Piece
from ingest_service.errors import SetupError

_MARK = b'{"ingest-service verify":1}\n'


class Notes:
    """The outcomes that a file holds; more are appended as they come."""

    def __init__(self, file: BinaryIO, known: Sequence[Outcome]) -> None:
        self._file = file
        self._known = {outcome.piece: outcome for outcome in known}

    def take(self, piece: Piece) -> Outcome | None:
        """Return what an earlier run found in this very piece; it is not held any longer."""
        return self._known.pop(piece, None)

    def add(self, outcome: Outcome) -> None:
        """Keep one more."""
        self._file.write(msgspec.json.encode(outcome) + b"\n")
        self._file.flush()


@contextmanager
def open_notes(path: Path) -> Iterator[Notes]:
    """Yield the notes in a file, which is made if need be, and gone once the run is complete.

    Raises `SetupError` when the file is another's, in use, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise SetupError(f"{path} cannot be opened: {exc.strerror}") from exc
    with os.fdopen(descriptor, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError(f"another run keeps its notes in {path}") from None
        yield Notes(file, _read(file, path))
        path.unlink(missing_ok=True)


def _read(file: BinaryIO, path: Path) -> list[Outcome]:
    """Return what was kept; a last line that was cut off is left out, and written over."""
    first = file.readline()
    if not first:
        file.write(_MARK)
        file.flush()
        return []
    if first != _MARK:
        raise SetupError(f"{path} holds something else than notes of this version's `verify`")
    outcomes, good = [], file.tell()
    for line in file:
        try:
            outcomes.append(msgspec.json.decode(line, type=Outcome))
        except msgspec.MsgspecError:
            break
        good = file.tell() if not line.endswith(b"\n") else good + len(line)
    file.seek(good)
    file.truncate()
    return outcomes
