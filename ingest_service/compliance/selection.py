"""What `verify` is asked to check. Pure."""

from datetime import datetime
from typing import NamedTuple

from ingest_service.errors import SetupError
from ingest_service.ledger import Stream

BEGINNING = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
END = datetime.fromisoformat("9999-01-01T00:00:00+00:00")


class Selection(NamedTuple):
    """Which streams, and which time of them: None stands for any.

    Of a time is what reached Kafka in it, and every row that says that it happened in it.
    """

    topic: str | None = None
    partition: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, stream: Stream) -> bool:
        """Tell whether a stream is selected, in any epoch."""
        return (self.topic is None or self.topic == stream.topic) and (
            self.partition is None or self.partition == stream.partition
        )

    @property
    def names_streams(self) -> bool:
        """Whether some streams are meant, and not all there are."""
        return (self.topic, self.partition) != (None, None)

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """From when until when, the latter not included; None for all time."""
        if self.since is None and self.until is None:
            return None
        since, until = self.since or BEGINNING, self.until or END
        if since >= until:
            raise SetupError("--from must be before --to")
        return since, until

    def __str__(self) -> str:
        which = f"{self.topic or 'any topic'}/{'*' if self.partition is None else self.partition}"
        words = [which if self.names_streams else "everything"]
        if self.since is not None:
            words.append(f"from {self.since.isoformat()}")
        if self.until is not None:
            words.append(f"to {self.until.isoformat()}")
        return " ".join(words)


EVERYTHING = Selection()
