"""Is this worker alive, may it take work, and how are the things it depends on: three questions.

No clock: whoever tells or asks passes the monotonic time. Alive means that what must move moves;
a dependency that is down never makes a worker unhealthy, since a restart would not bring it back
and an orchestrator that restarts every worker makes an outage worse.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

import structlog

from ingest_service.telemetry.liveness import STALL_SECONDS, Liveness

BELIEVED_SECONDS = 300.0
"""How long a report counts that nobody renews, when there is a younger one."""
STALE_SECONDS = 60.0
"""After this without a probe a dependency is not called healthy any more: nobody knows."""

_log = structlog.get_logger(__name__)


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


class _Report(NamedTuple):
    status: Status
    detail: str
    latency_seconds: float | None
    at: float


_BADNESS: Final = (Status.HEALTHY, Status.DEGRADED, Status.UNHEALTHY)
_WORK, _PROBE = "work", "probe"


class Health:
    """What the three health endpoints answer; written by the worker, read by another thread.

    A dependency is told of from two sides: what the work met there, and what a probe asks when
    there is no work. The worse of the two counts: a database that answers a probe may still
    refuse every write.
    """

    def __init__(self, stall_seconds: float = STALL_SECONDS) -> None:
        self.liveness = Liveness(stall_seconds)
        self._stopping = False
        self._members: dict[str, Phase] = {}
        self._reports: dict[tuple[str, str], _Report] = {}
        self._bad_since: dict[str, float] = {}

    # --- may it take work? -----------------------------------------------------------------------

    def expect(self, member: str) -> None:
        """Say that this worker is to be a member of a group: not ready before it has joined."""
        self._members.setdefault(member, Phase.STARTING)

    def joined(self, member: str, *, any_partition: bool) -> None:
        """Say that the group has answered: with partitions, or to stand by."""
        self._members[member] = Phase.ASSIGNED if any_partition else Phase.STANDING_BY

    def stop(self) -> None:
        """Say that the worker is on its way out."""
        self._stopping = True

    @property
    def phase(self) -> Phase:
        """Where the worker stands: of several members each must have joined its group."""
        if self._stopping:
            return Phase.STOPPING
        phases = set(self._members.copy().values())
        if not phases or Phase.STARTING in phases:
            return Phase.STARTING
        return Phase.ASSIGNED if Phase.ASSIGNED in phases else Phase.STANDING_BY

    def ready(self) -> bool:
        """Tell whether the worker is assigned or stands by; no dependency has a say in it."""
        return self.phase in (Phase.ASSIGNED, Phase.STANDING_BY)

    # --- how are the things it depends on? -------------------------------------------------------

    def report(
        self,
        component: str,
        status: Status,
        now: float,
        *,
        detail: str = "",
        latency_seconds: float | None = None,
    ) -> None:
        """Say what the work met at a dependency; `detail` is for a person, without secrets."""
        self._note(component, _WORK, _Report(status, detail, latency_seconds, now))

    def probed(
        self,
        component: str,
        status: Status,
        now: float,
        *,
        detail: str = "",
        latency_seconds: float | None = None,
    ) -> None:
        """Say what came of asking a dependency; its age is watched from here on."""
        self._note(component, _PROBE, _Report(status, detail, latency_seconds, now))

    def partition_stopped(self, place: str, why: str, now: float) -> None:
        """Show a partition that waits for an operator; who stopped it has logged it."""
        self._reports[place, _WORK] = _Report(Status.UNHEALTHY, why, None, now)

    def forget(self, component: str) -> None:
        """Say no more about this component."""
        for side in (_WORK, _PROBE):
            self._reports.pop((component, side), None)
        self._bad_since.pop(component, None)

    def _note(self, component: str, side: str, report: _Report) -> None:
        known = any(name == component for name, _ in self._reports)
        was = _judged(self._reports, component, report.at).status if known else Status.HEALTHY
        self._reports[component, side] = report
        judged = _judged(self._reports, component, report.at)
        if judged.status is was:
            return
        if judged.status is Status.HEALTHY:
            since = self._bad_since.pop(component, report.at)
            _log.info(
                "dependency healthy again",
                component=component,
                after_seconds=round(report.at - since, 1),
            )
        else:
            self._bad_since.setdefault(component, report.at)
            _log.warning(
                "dependency not healthy",
                component=component,
                status=judged.status.value,
                why=judged.detail,
            )

    # --- the answers -----------------------------------------------------------------------------

    def alive(self, now: float) -> bool:
        """Tell whether everything moves that should; False asks for a restart."""
        return not self.liveness.stalled(now)

    def status(self, now: float) -> Status:
        """Return the worst that can be said: stalled, or something not as it should be, or well."""
        if not self.alive(now):
            return Status.UNHEALTHY
        statuses = {report.status for report in self._components(now).values()}
        return Status.HEALTHY if statuses <= {Status.HEALTHY} else Status.DEGRADED

    def detailed(self, now: float) -> Mapping[str, Any]:
        """Return all of it, for a person or a page that shows it (`schemas/health.json`)."""
        return {
            "status": self.status(now),
            "ready": self.ready(),
            "phase": self.phase,
            "stalled": {
                name: round(seconds, 1) for name, seconds in self.liveness.stalled(now).items()
            },
            "components": {
                name: _shown(report, now) for name, report in sorted(self._components(now).items())
            },
        }

    def _components(self, now: float) -> dict[str, _Report]:
        reports = self._reports.copy()  # the worker writes on while this thread reads
        return {name: _judged(reports, name, now) for name, _ in reports}


def _judged(reports: Mapping[tuple[str, str], _Report], component: str, now: float) -> _Report:
    """Return the worse of what the work met and what the probe found, as far as it counts."""
    probe = reports.get((component, _PROBE))
    sides = [each for each in (probe, reports.get((component, _WORK))) if each is not None]
    believed = [each for each in sides if now - each.at < BELIEVED_SECONDS]
    counting = believed or [max(sides, key=lambda each: each.at)]
    worst = max(counting, key=lambda each: (_BADNESS.index(each.status), each.at))
    if probe and now - probe.at > STALE_SECONDS and worst.status is Status.HEALTHY:
        detail = f"nobody has asked it for {now - probe.at:.0f} s"
        return worst._replace(status=Status.DEGRADED, detail=detail)
    return worst


def _shown(report: _Report, now: float) -> Mapping[str, Any]:
    latency = report.latency_seconds
    return {
        "status": report.status,
        "detail": report.detail,
        "latency_ms": None if latency is None else round(latency * 1000, 1),
        # It may be younger than the question: the worker writes on.
        "age_seconds": round(max(0.0, now - report.at), 1),
    }
