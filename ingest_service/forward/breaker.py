"""When a sink is left alone, and how it is tried again: pure decisions, time is an argument."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

FAILURES_TO_OPEN: Final = 5
OPEN_SECONDS: Final = 60.0


class State(IntEnum):
    """The numbers are the metric's."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


Permit = int
"""Leave to send one request; what came of it is told with it."""


@dataclass(slots=True)
class Breaker:
    """Five failures in a row open it; a minute later one request goes out to see.

    A permit counts only in the state that gave it: of four requests in flight when it opens, the
    three that fail later must not open it longer, and a slow success must not close it.
    """

    failures_to_open: int = FAILURES_TO_OPEN
    open_seconds: float = OPEN_SECONDS
    state: State = State.CLOSED
    _failures: int = 0
    _reopens_at: float = 0.0
    _current: Permit = 0

    def ask(self, now: float) -> Permit | None:
        """Return a permit, or None: wait. Half-open there is one, void after a minute unheard of.

        A request whose task was cancelled tells nothing; the sink must not stay shut for it.
        """
        if self.state is not State.CLOSED:
            if now < self._reopens_at:
                return None
            self._enter(State.HALF_OPEN)
            self._reopens_at = now + self.open_seconds
        return self._current

    def seconds_to_wait(self, now: float) -> float:
        """Return how long no permit will be given, unless something comes of the probe before."""
        return 0.0 if self.state is State.CLOSED else max(0.0, self._reopens_at - now)

    def succeeded(self, permit: Permit) -> None:
        """Note an answer that shows the sink in working order: any but a failure."""
        if permit == self._current:
            self._failures = 0
            if self.state is State.HALF_OPEN:
                self._enter(State.CLOSED)

    def failed(self, permit: Permit, now: float) -> None:
        """Note that the sink could not be used, after the retries of one batch."""
        if permit == self._current and self.state is not State.OPEN:
            self._failures += 1
            if self.state is State.HALF_OPEN or self._failures >= self.failures_to_open:
                self._open(now)

    def trip(self, permit: Permit, now: float) -> None:
        """Note that we are set up wrongly: trying four more times would only lock an account."""
        if permit == self._current and self.state is not State.OPEN:
            self._open(now)

    def _open(self, now: float) -> None:
        self._enter(State.OPEN)
        self._reopens_at = now + self.open_seconds

    def _enter(self, state: State) -> None:
        self.state = state
        self._failures = 0
        self._current += 1
