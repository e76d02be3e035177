"""Contract 1's answers never change: records with the verdicts that were released."""

from __future__ import annotations

import json

from released import CORPUS, read_record, verdict_on

from ingest_service.events.record import Limits
from ingest_service.events.rejection import Reason

RELEASED = [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]


def test_released_verdicts_stand() -> None:
    """Every record that was ever judged by contract 1 is judged so today, to the byte."""
    for released in RELEASED:
        expected = {key: released[key] for key in released.keys() & {"row", "rejection"}}
        verdict = verdict_on(read_record(released["record"]), Limits(**released["limits"]))
        assert verdict == expected, released["record"]["offset"]


def test_corpus_covers_the_contract() -> None:
    """The corpus would notice: it has every reason that the decoder gives, and mended rows."""
    reasons = {released["rejection"][0] for released in RELEASED if "rejection" in released}
    assert reasons == set(Reason) - {Reason.ID_REUSED, Reason.REFUSED_BY_DATABASE, Reason.TOO_LARGE}
    stored = [released["row"]["metadata"] for released in RELEASED if "row" in released]
    for sign in ('"_extra"', '"nul_replaced"', '"duplicate_keys"', "1.10"):
        assert any(sign in metadata for metadata in stored)
