"""A token that may be rotated on disk while the worker runs."""

from collections.abc import Callable

from ingest_service.errors import SetupError

_FRESH_SECONDS = 5.0


class FreshSecret:
    """Returns a token as it was at most five seconds ago; reading all settings takes a while."""

    def __init__(self, read: Callable[[], str], clock: Callable[[], float]) -> None:
        self._read = read
        self._clock = clock
        self._text: str | None = None
        self._read_at = 0.0

    def __call__(self) -> str:
        """Return the token; `SetupError` when there never was one.

        While a file is being replaced there may be none for a moment: the last one is used, and
        the sink says whether it is still good.
        """
        now = self._clock()
        if self._text is None or now - self._read_at >= _FRESH_SECONDS:
            try:
                self._text = self._read()
            except SetupError:
                if self._text is None:
                    raise
            self._read_at = now
        return self._text
