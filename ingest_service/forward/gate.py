"""Where deliveries wait while the breaker is open: the only way to the sink."""

import asyncio

import structlog

from ingest_service.forward.answers import Why
from ingest_service.forward.breaker import Breaker, Permit, State
from ingest_service.forward.environment import DeliveryObserver

_log = structlog.get_logger(__name__)


class Gate:
    """One sink's breaker, and whoever waits at it."""

    def __init__(self, observer: DeliveryObserver) -> None:
        self._breaker = Breaker()
        self._observer = observer
        self._changed = asyncio.Event()
        self._said = State.CLOSED
        observer.breaker(State.CLOSED, "")

    @property
    def is_open(self) -> bool:
        """Whether nothing but a probe may go."""
        return self._breaker.state is not State.CLOSED

    async def enter(self) -> Permit:
        """Return once a request may go; what comes of it is told with the permit."""
        while (permit := self._breaker.ask(_now())) is None:
            self._changed.clear()
            try:
                async with asyncio.timeout(self._breaker.seconds_to_wait(_now())):
                    await self._changed.wait()
            except TimeoutError:
                pass
        self._say("")
        return permit

    def succeeded(self, permit: Permit) -> None:
        """Note an answer that shows the sink in working order."""
        self._breaker.succeeded(permit)
        self._say("")

    def failed(self, permit: Permit, why: Why) -> None:
        """Note that the sink does not work, after as many tries as were worth it."""
        self._breaker.failed(permit, _now())
        self._say(str(why))

    def trip(self, permit: Permit, why: Why) -> None:
        """Open at once: we are set up wrongly, and trying on would not help."""
        self._breaker.trip(permit, _now())
        self._say(str(why))

    def _say(self, why: str) -> None:
        state = self._breaker.state
        if state is self._said:
            return
        self._said = state
        self._changed.set()
        self._observer.breaker(state, why)
        if state is State.OPEN:
            _log.error("breaker opened", why=why)
        elif state is State.HALF_OPEN:
            _log.info("breaker half-open")
        else:
            _log.info("breaker closed")


def _now() -> float:
    return asyncio.get_running_loop().time()
