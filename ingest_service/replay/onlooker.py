"""What a replay makes of a sink's states: a person waits, so it gives up where a worker holds."""

from ingest_service.errors import BrokerUnavailableError, SinkUnavailableError

_MOST_TRIES = 8
"""In a row, with backoff: about a quarter of a minute, longer where the sink asks for patience."""


class Onlooker:
    """Watches deliveries to one sink, and counts nothing: the command's own report does."""

    def __init__(self, sink: str) -> None:
        self._sink = sink
        self._tries = 0

    def requested(self, entries: int, raw_bytes: int, sent_bytes: int, seconds: float) -> None:
        """Count nothing."""

    def dead_lettered(self, code: str) -> None:
        """Count nothing."""

    def retried(self, code: str) -> None:
        """Give up after some tries in a row."""
        self._tries += 1
        if self._tries >= _MOST_TRIES:
            raise SinkUnavailableError(f"{self._sink} does not take events now ({code})")

    def available(self, seconds: float) -> None:
        """Be patient again."""
        del seconds
        self._tries = 0

    def breaker(self, state: object, why: str) -> None:
        """Give up when it opens."""
        del state
        if why:
            raise SinkUnavailableError(f"{self._sink} does not take events: {why}")

    def dead_letters_unavailable(self, why: str | None) -> None:
        """Give up: a refused event would have nowhere to go."""
        if why is not None:
            raise BrokerUnavailableError(why)
