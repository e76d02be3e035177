from __future__ import annotations

import json

import pytest

from ingest_service.telemetry.health import Health, Liveness, Phase, Status

STALL = 60.0


@pytest.fixture
def health() -> Health:
    return Health(stall_seconds=STALL)


def test_loop_that_beats_is_alive() -> None:
    """A loop may take as long as the bound for one round, and not longer."""
    liveness = Liveness(STALL)
    liveness.beat("poll", now=100.0)
    assert liveness.stalled(100.0 + STALL) == {}
    assert liveness.stalled(100.0 + STALL + 1) == {"poll": STALL + 1}


def test_live_loop_does_not_hide_a_stuck_one() -> None:
    """Each loop is watched by its own name."""
    liveness = Liveness(STALL)
    liveness.beat("writer 0", now=0.0)
    liveness.beat("writer 1", now=0.0)
    liveness.beat("writer 1", now=90.0)
    assert set(liveness.stalled(100.0)) == {"writer 0"}


def test_retired_loop_is_not_missed() -> None:
    """What ended as it should can not stall."""
    liveness = Liveness(STALL)
    liveness.beat("poll", now=0.0)
    liveness.retire("poll")
    assert liveness.stalled(1000.0) == {}


def test_partition_with_work_that_stands_still_stalls() -> None:
    """Work, no known cause, and no progress for the bound: that is a stuck partition."""
    liveness = Liveness(STALL)
    for now in (0.0, 30.0, 61.0):
        liveness.observe("events/3", position=5, end=9, now=now)
    assert set(liveness.stalled(61.0)) == {"partition events/3"}


@pytest.mark.parametrize(
    "last",
    [
        {"position": 6, "end": 9},
        {"position": 5, "end": 5},
        {"position": 5, "end": 9, "cause": "the database is away"},
    ],
    ids=["moved", "no work", "known cause"],
)
def test_partition_with_a_reason_to_stand_is_alive(last: dict) -> None:
    """Progress, an empty partition, or a known cause starts the time anew."""
    liveness = Liveness(STALL)
    liveness.observe("events/3", position=5, end=9, now=0.0)
    liveness.observe("events/3", **last, now=59.0)
    assert liveness.stalled(100.0) == {}


def test_known_cause_that_goes_away_starts_the_time_anew() -> None:
    """After a long outage the partition has the whole bound to move again."""
    liveness = Liveness(STALL)
    liveness.observe("events/3", position=5, end=9, now=0.0)
    liveness.observe("events/3", position=5, end=9, now=1000.0, cause="the database is away")
    liveness.observe("events/3", position=5, end=9, now=1059.0)
    assert liveness.stalled(1059.0) == {}
    assert set(liveness.stalled(1061.0)) == {"partition events/3"}


def test_lost_partition_is_not_missed() -> None:
    """A partition that another worker has now can not stall here."""
    liveness = Liveness(STALL)
    liveness.observe("events/3", position=5, end=9, now=0.0)
    liveness.forget("events/3")
    assert liveness.stalled(1000.0) == {}


@pytest.mark.parametrize(
    ("phase", "ready"),
    [
        (Phase.STARTING, False),
        (Phase.ASSIGNED, True),
        (Phase.STANDING_BY, True),
        (Phase.STOPPING, False),
    ],
)
def test_ready_is_a_matter_of_the_phase(health: Health, phase: Phase, ready: bool) -> None:
    """Assigned or standing by is ready; before the first join and while stopping is not."""
    health.phase = phase
    assert health.ready() is ready


def test_absent_database_degrades_and_blocks_nothing(health: Health) -> None:
    """A dependency that is down asks for no restart and stops no rollout."""
    health.phase = Phase.ASSIGNED
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
    health.phase = Phase.ASSIGNED
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
