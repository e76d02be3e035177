"""Keys from files: PEM, as openssl writes it."""

import re
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from ingest_service.compliance.anchors import key_name
from ingest_service.errors import SetupError

_PUBLIC = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Return the key that signs; read anew each time, so that a rotated one is taken.

    Raises `SetupError`, which never repeats what the file holds.
    """
    try:
        key = load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SetupError(
            f"{path} holds no private Ed25519 key in PEM without a password: "
            "`openssl genpkey -algorithm ed25519 -out FILE` makes one"
        )
    return key


def read_public_keys(paths: Sequence[Path]) -> dict[str, Ed25519PublicKey]:
    """Return the keys that are trusted, by name; a file may hold several, of years.

    Raises `SetupError`.
    """
    keys: dict[str, Ed25519PublicKey] = {}
    for path in paths:
        found = [_public(path, pem) for pem in _PUBLIC.findall(_read(path))]
        if not found:
            raise SetupError(
                f"{path} holds no public key in PEM: "
                "`openssl pkey -in PRIVATE -pubout -out FILE` writes one"
            )
        keys |= {key_name(key): key for key in found}
    return keys


def _public(path: Path, pem: bytes) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise SetupError(f"{path} holds a key that is not Ed25519")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise SetupError(f"{path} cannot be read: {exc.strerror}") from exc
