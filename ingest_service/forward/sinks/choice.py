"""What of an event leaves for a sink, by the settings: redacted, left out, or as it is."""

from typing import NamedTuple

import msgspec

from ingest_service.events.record import Record
from ingest_service.forward.ports import Filtered
from ingest_service.forward.sinks.outline import Outline, malformed, outline
from ingest_service.forward.sinks.redaction import Redact


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

    def outline(self, record: Record) -> Outline | Filtered:
        """Read any record the careful way; what cannot be read is never left out."""
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
