"""Reads what was signed, for `verify`: which anchors are a trusted key's, and which are not."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ingest_service.compliance.anchors import (
    AnchorUnreadableError,
    SignedAnchor,
    is_signed_by,
    read_line,
)
from ingest_service.compliance.chain import Anchored
from ingest_service.compliance.findings import Class, Finding
from ingest_service.compliance.plan import Anchors
from ingest_service.compliance.selection import Selection
from ingest_service.errors import SetupError
from ingest_service.ledger import Stream

NO_STREAM = Stream(0, "", -1, 0)
"""Of a line that names none: its finding's offset is the number of the line."""

_LINE_BYTES = 64 * 1024


class Witness(NamedTuple):
    """What was signed of each stream, and what is wrong with the signing itself."""

    anchors: Anchors
    findings: list[Finding]

    @property
    def anchor_count(self) -> int:
        """How many anchors there are."""
        return sum(map(len, self.anchors.values()))


def read_witness(path: Path, keys: Mapping[str, Ed25519PublicKey], selection: Selection) -> Witness:
    """Return the anchors of the selected streams; a line that no key vouches for is a finding.

    Raises `SetupError` when the file cannot be read, or holds nothing.
    """
    anchors: dict[tuple[str, int, int], set[Anchored]] = defaultdict(set)
    findings, count = [], 0
    for number, text in _lines(path):
        count += 1
        signed = _read(text)
        wrong = signed if isinstance(signed, str) else _distrust(signed, keys)
        if isinstance(signed, str) or wrong is not None:
            findings.append(_invalid(number, signed, str(wrong)))
            continue
        anchor = signed.anchor
        if selection.takes(Stream(0, *anchor.stream_name)):
            anchors[anchor.stream_name].add(Anchored(anchor.next_offset, anchor.digest))
    if not count:
        raise SetupError(f"{path} holds no anchors: nothing was proved")
    return Witness({name: sorted(each) for name, each in anchors.items()}, findings)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that hold something, with their numbers; never more than a little of one."""
    try:
        with path.open("rb") as file:
            number = 0
            while text := file.readline(_LINE_BYTES):
                number += 1
                if text.strip():
                    yield number, text
    except OSError as exc:
        raise SetupError(f"{path} cannot be read: {exc.strerror}") from exc


def _read(text: bytes) -> SignedAnchor | str:
    try:
        return read_line(text)
    except AnchorUnreadableError as exc:
        return str(exc)


def _distrust(signed: SignedAnchor, keys: Mapping[str, Ed25519PublicKey]) -> str | None:
    """Return why an anchor is not believed; None when a trusted key signed it."""
    key = keys.get(signed.key_name)
    if key is None:
        return "is signed by a key that was not given"
    return None if is_signed_by(signed, key) else "has a signature that does not fit what it says"


def _invalid(number: int, signed: SignedAnchor | str, wrong: str) -> Finding:
    if isinstance(signed, str):
        return Finding(Class.ANCHOR_INVALID, NO_STREAM, number, f"line {number} {wrong}")
    anchor = signed.anchor
    stream = Stream(0, *anchor.stream_name)
    return Finding(Class.ANCHOR_INVALID, stream, anchor.next_offset, f"line {number} {wrong}")
