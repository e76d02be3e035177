"""The corpus of released verdicts: read by a test, and extended by running this file.

    python tests/unit/events/released.py < values

adds the verdict on each value, one JSON string (base64) or null a line. It only adds: what is there
was released, and a ledger somewhere depends on it.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

from ingest_service.events.decode import decode
from ingest_service.events.record import Limits, Row, StoredRecord

CORPUS = Path(__file__).parent / "corpus" / "v1.jsonl"


def read_record(kept: dict[str, Any]) -> StoredRecord:
    """Return a record that the corpus keeps."""
    value = kept["value"]
    return StoredRecord(**{**kept, "value": None if value is None else base64.b64decode(value)})


def verdict_on(record: StoredRecord, limits: Limits) -> dict[str, Any]:
    """Return today's verdict of contract 1, as the corpus writes it."""
    verdict = decode(record, 1, limits)
    if isinstance(verdict, Row):
        return {"row": {**verdict._asdict(), "metadata": verdict.metadata.decode()}}
    return {"rejection": list(verdict)}


def extend(corpus: Path) -> None:
    """Append the verdict on each value that standard input gives."""
    limits = Limits()
    known = len(corpus.read_text("utf-8").splitlines())
    with corpus.open("a", encoding="utf-8") as lines:
        for place, value in enumerate(map(json.loads, sys.stdin), known):
            kept = {
                "topic": "gateway.audit.events",
                "partition": 3,
                "offset": place,
                "timestamp": 1_700_000_000_500,
                "value": value,
            }
            verdict = verdict_on(read_record(kept), limits)
            lines.write(json.dumps({"record": kept, "limits": limits._asdict(), **verdict}) + "\n")


if __name__ == "__main__":
    extend(CORPUS)
