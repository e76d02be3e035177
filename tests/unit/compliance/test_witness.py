"""Which anchors are believed: a trusted key's, unchanged; each other line is a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization import PublicFormat as Public

from ingest_service.compliance.anchor_keys import read_private_key, read_public_keys
from ingest_service.compliance.anchors import Head, line, sign
from ingest_service.compliance.chain import Anchored
from ingest_service.compliance.findings import Class
from ingest_service.compliance.selection import EVERYTHING, Selection
from ingest_service.compliance.witness import read_witness
from ingest_service.errors import SetupError
from ingest_service.ledger import Stream
from signing import KeyPair, key_pair

if TYPE_CHECKING:
    from pathlib import Path

STREAM = Stream(3, "events", 1, 1)
NAME = ("events", 1, 1)


def anchor(keys: KeyPair, offset: int, digest: bytes = b"d" * 32) -> bytes:
    return line(sign(Head(STREAM, offset, digest), 1_700_000_000_000, keys.key))


def test_anchors_of_every_trusted_key_count(tmp_path: Path):
    """A key that was replaced still vouches for what it signed; the same anchor counts once."""
    old, new = key_pair(tmp_path, "old"), key_pair(tmp_path, "new")
    both = tmp_path / "both.pub"
    both.write_bytes(old.public.read_bytes() + new.public.read_bytes())
    kept = tmp_path / "anchors.jsonl"
    kept.write_bytes(anchor(old, 5) + b"\n" + anchor(old, 5) + anchor(new, 9))
    for trusted in ([both], [old.public, new.public]):
        witness = read_witness(kept, read_public_keys(trusted), EVERYTHING)
        assert witness.anchors == {NAME: [Anchored(5, b"d" * 32), Anchored(9, b"d" * 32)]}
        assert (witness.anchor_count, witness.findings) == (2, [])


def test_lines_that_nobody_vouches_for_are_findings(tmp_path: Path):
    """Another key, a changed offset, a line that is none or was cut: each by its line."""
    ours, theirs = key_pair(tmp_path, "ours"), key_pair(tmp_path, "theirs")
    kept = tmp_path / "anchors.jsonl"
    changed = anchor(ours, 5).replace(b'"next_offset":5', b'"next_offset":6')
    kept.write_bytes(anchor(theirs, 4) + changed + b"garbage\n" + anchor(ours, 7)[:-40])
    witness = read_witness(kept, read_public_keys([ours.public]), EVERYTHING)
    assert witness.anchors == {}
    assert {found.kind for found in witness.findings} == {Class.ANCHOR_INVALID}
    assert [(found.stream.topic, found.offset) for found in witness.findings] == [
        ("events", 4),
        ("events", 6),
        ("", 3),
        ("", 4),
    ]
    assert [found.detail.split()[1] for found in witness.findings] == ["1", "2", "3", "4"]


def test_other_streams_are_left_out(tmp_path: Path):
    """Checking one partition is no reason to look for another one's records."""
    keys = key_pair(tmp_path)
    kept = tmp_path / "anchors.jsonl"
    kept.write_bytes(anchor(keys, 5))
    trusted = read_public_keys([keys.public])
    assert read_witness(kept, trusted, Selection(partition=0)).anchors == {}
    assert read_witness(kept, trusted, Selection(partition=1)).anchor_count == 1


@pytest.mark.parametrize("content", [None, b"", b"\n \n"])
def test_nothing_signed_proves_nothing(tmp_path: Path, content: bytes | None):
    """A missing or an empty file is a mistake, not a good result."""
    kept = tmp_path / "anchors.jsonl"
    if content is not None:
        kept.write_bytes(content)
    with pytest.raises(SetupError, match=r"anchors\.jsonl"):
        read_witness(kept, {}, EVERYTHING)


def test_files_that_hold_no_key_are_named(tmp_path: Path):
    """A wrong kind, the other half, a password, nothing: what to do, and nothing of the file."""
    keys = key_pair(tmp_path)
    other = rsa.generate_private_key(65537, 2048)
    private, public = tmp_path / "rsa.key", tmp_path / "rsa.pub"
    private.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(other.public_key().public_bytes(Encoding.PEM, Public.SubjectPublicKeyInfo))
    broken = tmp_path / "broken.pub"
    broken.write_text("-----BEGIN PUBLIC KEY-----\nsecret\n-----END PUBLIC KEY-----\n")
    for path in (private, keys.public, broken, tmp_path / "none"):
        with pytest.raises(SetupError, match=path.name) as refused:
            read_private_key(path)
        assert "secret" not in str(refused.value)
    for path in (public, keys.private, broken, tmp_path / "none"):
        with pytest.raises(SetupError, match=path.name) as refused:
            read_public_keys([path])
        assert "secret" not in str(refused.value)
    assert read_private_key(keys.private).private_bytes_raw() == keys.key.private_bytes_raw()
