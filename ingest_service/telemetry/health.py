"""Is this worker alive, may it take work, and how are the things it depends on: three questions.

Pure: whoever tells or asks passes the monotonic time. Alive means that what must move moves;
a dependency that is down never makes a worker unhealthy, since a restart would not bring it back
and an orchestrator that restarts every worker makes an outage worse.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

STALL_SECONDS = 60.0


class Status(StrEnum):
    """How a thing is: a worker with a dependency that is not healthy is degraded."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class Phase(StrEnum):
    """Where a worker stands in its life; ready while it has work or stands by for some."""

    STARTING = "starting"
    ASSIGNED = "assigned"
    STANDING_BY = "standing_by"
    STOPPING = "stopping"


class _Component(NamedTuple):
    status: Status
    detail: str
    latency_seconds: float | None
    at: float


class _Progress(NamedTuple):
    position: int
    since: float


class Liveness:
    """Tells what has not moved for `stall_seconds` although it should have.

    A stuck loop can hide behind a live one (they share the consumer's group membership), so each
    loop beats under its own name, and each partition is watched by itself.
    """

    def __init__(self, stall_seconds: float = STALL_SECONDS) -> None:
        self._stall_seconds = stall_seconds
        self._beats: dict[str, float] = {}
        self._partitions: dict[str, _Progress] = {}

    def beat(self, loop: str, now: float) -> None:
        """Say that this loop has come round."""
        self._beats[loop] = now

    def retire(self, loop: str) -> None:
        """Stop watching a loop that has ended as it should."""
        self._beats.pop(loop, None)

    def observe(
        self, partition: str, *, position: int, end: int, now: float, cause: str | None = None
    ) -> None:
        """Note how far a partition is; with no work, or a known cause, it may stand still.

        `cause` says why it is held: the database is away, an operator has to decide. Call it
        at least every few seconds for each assigned partition.
        """
        before = self._partitions.get(partition)
        idle = position >= end or cause is not None
        if before is None or idle or position != before.position:
            self._partitions[partition] = _Progress(position, now)

    def forget(self, partition: str) -> None:
        """Stop watching a partition that another worker has now."""
        self._partitions.pop(partition, None)

    def stalled(self, now: float) -> dict[str, float]:
        """Return what stands still, by name, and for how many seconds."""
        since = dict(self._beats) | {
            f"partition {name}": progress.since
            for name, progress in self._partitions.copy().items()
        }
        return {
            name: now - moved for name, moved in since.items() if now - moved > self._stall_seconds
        }


class Health:
    """What the three health endpoints answer; written by the worker, read by another thread."""

    def __init__(self, stall_seconds: float = STALL_SECONDS) -> None:
        self.liveness = Liveness(stall_seconds)
        self.phase = Phase.STARTING
        self._components: dict[str, _Component] = {}

    def report(
        self,
        component: str,
        status: Status,
        now: float,
        *,
        detail: str = "",
        latency_seconds: float | None = None,
    ) -> None:
        """Say how a dependency, or a partition, is; `detail` is for a person, without secrets."""
        self._components[component] = _Component(status, detail, latency_seconds, now)

    def forget(self, component: str) -> None:
        """Say no more about this component."""
        self._components.pop(component, None)

    def alive(self, now: float) -> bool:
        """Tell whether everything moves that should; False asks for a restart."""
        return not self.liveness.stalled(now)

    def ready(self) -> bool:
        """Tell whether the worker is assigned or stands by; no dependency has a say in it."""
        return self.phase in (Phase.ASSIGNED, Phase.STANDING_BY)

    def status(self, now: float) -> Status:
        """Return the worst that can be said: stalled, or something not as it should be, or well."""
        if not self.alive(now):
            return Status.UNHEALTHY
        statuses = {component.status for component in self._components.copy().values()}
        return Status.HEALTHY if statuses <= {Status.HEALTHY} else Status.DEGRADED

    def detailed(self, now: float) -> Mapping[str, Any]:
        """Return all of it, for a person or a page that shows it."""
        return {
            "status": self.status(now),
            "ready": self.ready(),
            "phase": self.phase,
            "stalled": {
                name: round(seconds, 1) for name, seconds in self.liveness.stalled(now).items()
            },
            "components": {
                name: _shown(component, now)
                for name, component in sorted(self._components.copy().items())
            },
        }


def _shown(component: _Component, now: float) -> Mapping[str, Any]:
    latency = component.latency_seconds
    return {
        "status": component.status,
        "detail": component.detail,
        "latency_ms": None if latency is None else round(latency * 1000, 1),
        "age_seconds": round(now - component.at, 1),
    }
