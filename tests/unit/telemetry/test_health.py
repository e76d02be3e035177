"""What the health pages say: may it take work, and how are the things it depends on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ingest_service.telemetry.health import BELIEVED_SECONDS, STALE_SECONDS, Health, Phase, Status

if TYPE_CHECKING:
    import io

STALL = 60.0


@pytest.fixture
def health() -> Health:
    return Health(stall_seconds=STALL)


def component(health: Health, name: str, now: float) -> dict:
    return health.detailed(now)["components"][name]


def said(log: io.StringIO) -> list[tuple]:
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    return [(line["event"], line["component"]) for line in lines]


@pytest.mark.parametrize(
    ("members", "phase", "ready"),
    [
        ({}, Phase.STARTING, False),
        ({"splunk": None}, Phase.STARTING, False),
        ({"splunk": True}, Phase.ASSIGNED, True),
        ({"splunk": False}, Phase.STANDING_BY, True),
        ({"splunk": True, "datadog": False}, Phase.ASSIGNED, True),
        ({"splunk": True, "datadog": None}, Phase.STARTING, False),
    ],
)
def test_ready_when_every_member_has_joined(
    health: Health, members: dict[str, bool | None], phase: Phase, ready: bool
) -> None:
    """A worker whose one sink is in its group and whose other is not is no worker yet."""
    for name in members:
        health.expect(name)
    for name, any_partition in members.items():
        if any_partition is not None:
            health.joined(name, any_partition=any_partition)
    assert (health.phase, health.ready()) == (phase, ready)


def test_stopping_is_not_ready_whatever_joins(health: Health) -> None:
    """On its way out a worker is not made ready by a late answer of the group."""
    health.joined("persister", any_partition=True)
    health.stop()
    health.joined("persister", any_partition=True)
    assert (health.phase, health.ready()) == (Phase.STOPPING, False)


def test_absent_database_degrades_and_blocks_nothing(health: Health) -> None:
    """A dependency that is down asks for no restart and stops no rollout."""
    health.joined("persister", any_partition=True)
    health.report("database", Status.UNHEALTHY, 0.0, detail="cannot be reached")
    assert health.status(1.0) is Status.DEGRADED
    assert health.alive(1.0)
    assert health.ready()


def test_only_a_stall_is_unhealthy(health: Health) -> None:
    """All dependencies well and a stuck loop: unhealthy."""
    health.report("kafka", Status.HEALTHY, 0.0)
    assert health.status(0.0) is Status.HEALTHY
    health.liveness.beat("poll", 0.0)
    assert health.status(STALL + 1) is Status.UNHEALTHY


def test_details_say_everything(health: Health) -> None:
    """Each component with status, latency and age; what stalls, by name; as JSON."""
    health.joined("persister", any_partition=True)
    health.report("kafka", Status.HEALTHY, 10.0, latency_seconds=0.0042)
    health.report("gone", Status.HEALTHY, 10.0)
    health.forget("gone")
    health.liveness.beat("poll", 0.0)
    assert json.loads(json.dumps(health.detailed(now=70.0))) == {
        "status": "unhealthy",
        "ready": True,
        "phase": "assigned",
        "stalled": {"poll": 70.0},
        "components": {
            "kafka": {"status": "healthy", "detail": "", "latency_ms": 4.2, "age_seconds": 60.0}
        },
    }


def test_probe_does_not_outvote_the_work(health: Health) -> None:
    """A database that answers a question and refuses every write is not healthy."""
    health.report("database", Status.UNHEALTHY, 0.0, detail="its disk is full")
    health.probed("database", Status.HEALTHY, 5.0, latency_seconds=0.001)
    assert component(health, "database", 5.0)["status"] == "unhealthy"
    assert component(health, "database", 5.0)["detail"] == "its disk is full"
    health.report("database", Status.HEALTHY, 6.0)
    assert component(health, "database", 6.0)["status"] == "healthy"


def test_work_does_not_outvote_the_probe(health: Health) -> None:
    """An idle worker learns from its probe that the database is gone: the last write was well."""
    health.report("database", Status.HEALTHY, 0.0)
    health.probed("database", Status.UNHEALTHY, 5.0, detail="refused")
    assert component(health, "database", 5.0)["detail"] == "refused"


def test_old_trouble_that_nobody_met_again_gives_way(health: Health) -> None:
    """Who lost its partitions while a sink was away never meets it again: the probe counts."""
    health.report("splunk", Status.UNHEALTHY, 0.0, detail="the breaker is open")
    health.probed("splunk", Status.HEALTHY, BELIEVED_SECONDS - 1)
    assert component(health, "splunk", BELIEVED_SECONDS - 1)["status"] == "unhealthy"
    assert component(health, "splunk", BELIEVED_SECONDS)["status"] == "healthy"


def test_only_report_is_believed_however_old(health: Health) -> None:
    """What has no probe is as it was when it was last met."""
    health.report("dead letters", Status.UNHEALTHY, 0.0, detail="no broker")
    assert component(health, "dead letters", 10 * BELIEVED_SECONDS)["status"] == "unhealthy"


def test_dependency_that_nobody_asks_any_more_is_not_called_healthy(health: Health) -> None:
    """While the event loop hangs nobody asks, and the last good answer is not today's."""
    health.probed("database", Status.HEALTHY, 0.0)
    assert component(health, "database", STALE_SECONDS)["status"] == "healthy"
    late = component(health, "database", STALE_SECONDS + 1)
    assert (late["status"], late["detail"]) == ("degraded", "nobody has asked it for 61 s")


def test_report_may_be_younger_than_the_question(health: Health) -> None:
    """The worker writes while the page is made: no age is negative."""
    health.probed("kafka", Status.HEALTHY, 10.0)
    assert component(health, "kafka", 9.9)["age_seconds"] == 0.0


def test_each_change_is_logged_once(health: Health, log: io.StringIO) -> None:
    """An outage is two lines, however often it is met; a worker that starts well says nothing."""
    health.probed("database", Status.HEALTHY, 0.0)
    for now in (1.0, 2.0, 3.0):
        health.report("database", Status.UNHEALTHY, now, detail="refused")
    health.probed("database", Status.UNHEALTHY, 4.0, detail="refused")
    health.report("database", Status.HEALTHY, 5.0)
    health.probed("database", Status.HEALTHY, 6.0)
    assert said(log) == [
        ("dependency not healthy", "database"),
        ("dependency healthy again", "database"),
    ]
    first, last = map(json.loads, log.getvalue().splitlines())
    assert (first["status"], first["why"]) == ("unhealthy", "refused")
    assert last["after_seconds"] == 5.0


def test_dependency_that_is_away_at_the_start_is_logged(health: Health, log: io.StringIO) -> None:
    """The first thing that is heard of it may be that it is not there."""
    health.probed("redis", Status.UNHEALTHY, 0.0, detail="refused")
    assert said(log) == [("dependency not healthy", "redis")]


def test_stopped_partition_is_shown_and_logged_by_who_stopped_it(
    health: Health, log: io.StringIO
) -> None:
    """The line that says what to do stands in the log already."""
    health.partition_stopped("partition 3", "operator, decide", 0.0)
    assert component(health, "partition 3", 1.0)["detail"] == "operator, decide"
    assert log.getvalue() == ""
    health.forget("partition 3")
    assert health.detailed(1.0)["components"] == {}
