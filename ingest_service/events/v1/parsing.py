"""The prebuilt JSON decoders, and the rule for number literals that the parser does not know."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Raw

from ingest_service.events.v1.bounds import MAX_EXPONENT, MAX_NUMBER_CHARACTERS


def accept_literal(literal: str) -> str:
    """Return the literal of a number, or raise `ValueError` when it is out of range.

    `jsonb` stores `1e131071` in a few bytes and can then not print it, and a parser makes
    `1e-20000` zero without a word. Called by the parser for each number with a fraction or an
    exponent.
    """
    if len(literal) > MAX_NUMBER_CHARACTERS:
        raise ValueError
    exponent = literal.lower().partition("e")[2]
    if exponent and abs(int(exponent)) > MAX_EXPONENT:
        raise ValueError
    return literal


decode_text: Final = msgspec.json.Decoder(str).decode
decode_number: Final = msgspec.json.Decoder(float).decode

_decode_raw_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode

decode_object: Final = msgspec.json.Decoder(dict[str, object], float_hook=accept_literal).decode
"""Decode an object whole; a number out of range is a `ValidationError`."""

decode_anything: Final = msgspec.json.Decoder(float_hook=accept_literal).decode
"""Decode any JSON; a number out of range is a `ValidationError`, bad JSON a `DecodeError`."""


def decode_members(text: bytes) -> dict[str, bytes]:
    """Split an object into its members, each as it was sent; the last of equal keys wins."""
    return {name: bytes(raw) for name, raw in _decode_raw_members(text).items()}


def decode_unknown(text: bytes, known: frozenset[str]) -> dict[str, bytes]:
    """Return the members of an object whose names are not known, in their order."""
    return {
        name: bytes(raw) for name, raw in _decode_raw_members(text).items() if name not in known
    }


def encode_members(members: Mapping[str, bytes]) -> bytes:
    """Return the object that has these members, each as it is given."""
    return msgspec.json.encode({name: Raw(text) for name, text in members.items()})
