"""What has not moved although it should have: the only reason to restart a worker.

Pure: whoever tells or asks passes the monotonic time.
"""

from typing import NamedTuple

STALL_SECONDS = 60.0


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
        since = self._beats.copy() | {
            f"partition {name}": progress.since
            for name, progress in self._partitions.copy().items()
        }
        return {
            name: now - moved for name, moved in since.items() if now - moved > self._stall_seconds
        }
