"""What of an event leaves for a sink, by the settings: redacted, left out, or as it is."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from ingest_service.events.record import Record
from ingest_service.forward.answers import Why
from ingest_service.forward.ports import Encoded, Filtered, Unsendable
from ingest_service.forward.sinks.outline import Outline, malformed, outline, shortened
from ingest_service.forward.sinks.redaction import Redact


class Named(Protocol):
    """What of an event the rules look at."""

    @property
    def event_type(self) -> str:
        """What kind of event it is."""
        ...

    @property
    def decision(self) -> str | None:
        """What the gateway decided, if anything."""
        ...


class Choice(NamedTuple):
    """What to redact, and which events to leave out: `type` or `type:decision`."""

    redact: Redact | None = None
    left_out: frozenset[str] = frozenset()

    def rule(self, event_type: str | None, decision: str | None) -> str | None:
        """Return the rule that leaves such an event out, or None."""
        for rule in (event_type, f"{event_type}:{decision}"):
            if rule in self.left_out:
                return rule
        return None

    def keep(self, events: Sequence[Named], entries: Sequence[bytes]) -> list[Encoded]:
        """Return the entries, without those that the rules leave out."""
        if not self.left_out:
            return list(entries)
        return [
            entry
            if (rule := self.rule(event.event_type, event.decision)) is None
            else Filtered(rule)
            for event, entry in zip(events, entries, strict=True)
        ]

    def entry(
        self,
        record: Record,
        write: Callable[[Record, Outline], bytes],
        max_bytes: int,
        too_large: Why,
    ) -> Encoded:
        """Return any record as the sink writes it; a shortened stand-in of what is too large."""
        whole = self._outline(record)
        if isinstance(whole, Filtered):
            return whole
        text = write(record, whole)
        if len(text) <= max_bytes:
            return text
        return Unsendable(too_large, write(record, shortened(record, whole)))

    def _outline(self, record: Record) -> Outline | Filtered:
        """Read the record the careful way; what cannot be read is never left out."""
        try:
            value = record.value or b""
            value.decode()
            if self.redact is not None:
                value = self.redact(value)
            found = outline(record, value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return malformed(record, withheld=self.redact is not None)
        rule = self.rule(found.event_type, found.decision) if self.left_out else None
        return found if rule is None else Filtered(rule)
