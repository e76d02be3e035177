"""What a test asks a sink to do wrong, in order."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from .wire import Manner

Place = Literal["events", "ack", "health"]
FOR_EVER = 0


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One misbehaviour, `times` times (0: until the script is cleared).

    With a `status` or, for Splunk, a `code`, that is the answer. Without, the request is dealt
    with as ever and only the manner of answering is wrong: an accepted batch whose answer is lost.
    """

    times: int = 1
    on: Place = "events"
    # Only a request whose uncompressed body holds this text.
    match: str = ""
    status: int | None = None
    # One of Splunk's codes brings its own status and body. With `match` it refuses the first
    # event that holds the text, as a sink does: what stands before it is taken in.
    code: int | None = None
    body: Any = None
    headers: dict[str, str] = {}
    # How many entries are taken in although the answer is an error; -1 for all.
    accept: int = 0
    # Say that it was accepted, and forget it: a sink that crashes before it indexes.
    lose: bool = False
    # Seconds before the answer, and between any two bytes of it.
    delay: float = 0.0
    drip: float = 0.0
    # End the connection after so many bytes of the answer, or of the request's body.
    cut: int | None = None
    cut_request: int | None = None
    # By RST, where `cut` alone ends with FIN.
    reset: bool = False

    @property
    def manner(self) -> Manner:
        """How the answer is sent."""
        return Manner(self.delay, self.drip, self.cut, self.reset)

    @property
    def answers(self) -> bool:
        """Whether this decides the answer, and not only the manner."""
        return self.status is not None or self.code is not None


class Script:
    """The faults still to come; each request uses up at most one."""

    def __init__(self) -> None:
        self._left: list[tuple[Fault, int]] = []

    def add(self, *faults: Fault) -> None:
        """Append faults; the first that fits a request is used."""
        self._left += [(fault, fault.times) for fault in faults]

    def clear(self) -> None:
        """Behave from now on."""
        self._left.clear()

    @property
    def left(self) -> list[Fault]:
        """The faults that have not been used up."""
        return [fault for fault, _ in self._left]

    def take_cut(self, place: Place) -> int | None:
        """Return after how many bytes of this request's body the connection is reset, if at all."""
        fault = self._take(lambda fault: fault.on == place and fault.cut_request is not None)
        return fault.cut_request if fault else None

    def take(self, place: Place, body: bytes) -> Fault | None:
        """Return the fault of a request that has come whole."""
        return self._take(
            lambda fault: (
                fault.on == place and fault.cut_request is None and fault.match.encode() in body
            )
        )

    def _take(self, fits: Any) -> Fault | None:
        for index, (fault, times) in enumerate(self._left):
            if fits(fault):
                if fault.times != FOR_EVER:
                    self._left[index : index + 1] = [(fault, times - 1)] if times > 1 else []
                return fault
        return None
