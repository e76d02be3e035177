"""The persister among fakes: everything as in production, but nobody waits for long."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten every wait; which waits there are stays as it is."""
    for name, seconds in {
        "retry._FIRST_SECONDS": 0.001,
        "retry._LONGEST_SECONDS": 0.004,
        "writer._POLL_SECONDS": 0.004,
        "writer._BUSY_SECONDS": 0.01,
        "assignment._FAULT_RETRY_SECONDS": 0.02,
    }.items():
        monkeypatch.setattr(f"ingest_service.persist.{name}", seconds)
