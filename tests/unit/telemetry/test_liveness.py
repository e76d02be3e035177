from __future__ import annotations

import pytest

from ingest_service.telemetry.liveness import Liveness

STALL = 60.0


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
