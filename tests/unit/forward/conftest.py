"""The forwarder as in production, but nobody waits for long."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from fakes.forwarding import Bench
from ingest_service.forward.breaker import Breaker
from siem import stand_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten every wait; which waits there are stays as it is."""
    monkeypatch.setenv("INGEST_SPLUNK__TOKEN", "local-splunk-token")
    monkeypatch.setenv("INGEST_DATADOG__API_KEY", "local-datadog-key")
    monkeypatch.setattr("ingest_service.forward.gate.Breaker", partial(Breaker, open_seconds=0.05))
    for name, value in {
        "retry._FIRST_SECONDS": 0.002,
        "retry._LONGEST_SECONDS": 0.01,
        "batching.LINGER_SECONDS": 0.02,
        "reading._POLL_SECONDS": 0.004,
        "reading._FAULT_RETRY_SECONDS": 0.02,
        "pipeline._POLL_SECONDS": 0.004,
        "pipeline._BUSY_SECONDS": 0.02,
        "pipeline._ACK_POLL_SECONDS": 0.01,
        "commits._RETRY_SECONDS": 0.01,
        "delivery._SLOW_DOWN_SECONDS": 0.01,
    }.items():
        monkeypatch.setattr(f"ingest_service.forward.{name}", value)


@pytest_asyncio.fixture
async def bench(impatient: None) -> AsyncIterator[Bench]:
    """Yield a topic, a SIEM and dead letters, all empty."""
    async with stand_in() as siem:
        yield Bench(siem)
