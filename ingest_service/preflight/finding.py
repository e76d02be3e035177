"""What a look at the set-up found: one line, and what to do about it."""

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """Right; worth a thought, though everything works; or wrong."""

    RIGHT = "right"
    WARNING = "warning"
    WRONG = "wrong"


class Finding(NamedTuple):
    """One thing looked at. `advice` says what to do, and is empty when nothing is to be done."""

    subject: str
    verdict: Verdict
    said: str
    advice: str = ""


def right(subject: str, said: str) -> Finding:
    """Return that this is as it should be."""
    return Finding(subject, Verdict.RIGHT, said)


def warning(subject: str, said: str, advice: str) -> Finding:
    """Return that this works, but somebody may not want it so."""
    return Finding(subject, Verdict.WARNING, said, advice)


def wrong(subject: str, said: str, advice: str) -> Finding:
    """Return that this must be changed."""
    return Finding(subject, Verdict.WRONG, said, advice)
