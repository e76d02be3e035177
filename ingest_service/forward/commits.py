"""Tells the broker how far a sink is: the contiguous prefix, as soon as it has grown."""

import asyncio

from ingest_service.forward.environment import Observer, Source
from ingest_service.forward.reading import Reader
from ingest_service.forward.unacked import Spans

_RETRY_SECONDS = 1.0


class Commits:
    """One commit at a time; what settles meanwhile goes with the next."""

    def __init__(self, source: Source, reader: Reader, observer: Observer) -> None:
        self._source = source
        self._reader = reader
        self._observer = observer
        self._moved = asyncio.Event()
        self._passed = asyncio.Condition()

    def moved(self) -> None:
        """Say that a prefix may have grown."""
        self._moved.set()

    async def run(self) -> None:
        """Commit for as long as the pipeline runs."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            if not await self.commit():
                await asyncio.sleep(_RETRY_SECONDS)
                self._moved.set()

    async def commit(self) -> bool:
        """Commit what has grown since the last time; False when the broker did not take it."""
        reader = self._reader
        told, windows = reader.told, reader.windows
        offsets = {n: each.prefix for n, each in windows.items() if each.prefix != told[n]}
        # A stale commit would be taken under the new assignment, and could rewind the group.
        if not offsets or not reader.is_current:
            return True
        if not await self._source.commit(offsets):
            return not reader.is_current
        told |= offsets
        for number, offset in offsets.items():
            if number in windows:
                windows[number].committed = offset
            self._observer.committed(number, offset)
        async with self._passed:
            self._passed.notify_all()
        return True

    async def until_passed(self, spans: Spans) -> None:
        """Return once the broker knows that all of these are behind."""
        async with self._passed:
            await self._passed.wait_for(
                lambda: all(window.committed >= span.next for window, span in spans)
            )
