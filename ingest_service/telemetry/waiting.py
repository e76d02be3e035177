"""How long the oldest record has waited that nobody has read yet: pure.

Its Kafka time is not known then, but when the log was first seen to reach beyond it is.
"""

from collections import deque
from typing import Final

_MOST_MARKS: Final = 64


class Waiting:
    """Remembers when each partition was first seen to end where: the age is at least that.

    It is asked every 15 s, so a record may have waited so much longer; and a worker that has just
    begun knows nothing of before.
    """

    def __init__(self) -> None:
        self._marks: dict[int, deque[tuple[int, float]]] = {}

    def ends(self, partition: int, end: int, now: float) -> None:
        """Note that the log ends here now."""
        marks = self._marks.setdefault(partition, deque())
        if marks and marks[-1][0] > end:
            marks.clear()  # the topic was made again
        if not marks or marks[-1][0] < end:
            marks.append((end, now))
        if len(marks) > _MOST_MARKS:
            # The oldest counts most; of the rest every other one tells nearly as much.
            self._marks[partition] = deque(list(marks)[::2])

    def seconds(self, partition: int, position: int, now: float) -> float:
        """Return how long the record at this position has been there at least; 0 without one."""
        marks = self._marks.get(partition, deque())
        while marks and marks[0][0] <= position:
            marks.popleft()
        return now - marks[0][1] if marks else 0.0

    def forget(self, partition: int) -> None:
        """Say no more about a partition of somebody else."""
        self._marks.pop(partition, None)
