"""A gateway's last value is shown while somebody tells it, and costs bounded room."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from ingest_service.telemetry.expiring import ExpiringGauge
from ingest_service.telemetry.metrics_gateway_told import ACTIVE_CONNECTIONS

BEGAN = 1_700_000_000.0


class Shown:
    def __init__(self) -> None:
        self.now = BEGAN
        self.registry = CollectorRegistry()
        self.gauge = ExpiringGauge(ACTIVE_CONNECTIONS, self.registry, 60, lambda: self.now)

    def set(self, value: float, at: float, gateway: str = "gw") -> str | None:
        return self.gauge.set(("sse", gateway), value, at)

    def read(self, gateway: str = "gw") -> float | None:
        labels = {"connection_type": "sse", "gateway_instance": gateway}
        return self.registry.get_sample_value(ACTIVE_CONNECTIONS.name, labels)


@pytest.fixture
def shown() -> Shown:
    return Shown()


def test_gateway_that_fell_silent_is_not_shown(shown: Shown) -> None:
    """A gateway that was replaced does not hold its connections for ever."""
    shown.set(7, BEGAN)
    shown.now = BEGAN + 60
    assert shown.read() == 7
    shown.now = BEGAN + 61
    assert shown.read() is None


def test_newest_value_wins_whatever_comes_last(shown: Shown) -> None:
    """Events of one gateway come by several partitions, out of order."""
    shown.set(7, BEGAN)
    shown.set(5, BEGAN - 15)
    assert shown.read() == 7


def test_value_of_a_backlog_is_no_value_of_now(shown: Shown) -> None:
    """What was true an hour ago is not shown while a backlog drains."""
    assert shown.set(7, BEGAN - 3600) == "too_old"
    assert shown.read() is None


def test_clock_ahead_of_ours_holds_nothing_longer(shown: Shown) -> None:
    """A gateway whose clock is a day ahead expires like the others, and can be corrected."""
    shown.set(7, BEGAN + 86_400)
    shown.now = BEGAN + 15
    shown.set(5, BEGAN + 86_415)
    assert shown.read() == 5
    shown.now = BEGAN + 90
    assert shown.read() is None


def test_replaced_gateways_free_their_place(shown: Shown) -> None:
    """Beyond the bound a newcomer waits; when the old ones are gone it has its place."""
    for number in range(ACTIVE_CONNECTIONS.most_series):
        assert shown.set(1, BEGAN, f"gw-{number}") is None
    assert shown.set(1, BEGAN, "new") == "too_many"
    assert shown.set(2, BEGAN, "gw-0") is None
    shown.now = BEGAN + 61
    assert shown.set(1, shown.now, "new") is None
    assert shown.read("new") == 1
