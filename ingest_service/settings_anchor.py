"""Where heads of the ledger are signed to, so that nobody can rewrite what lies before them."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from ingest_service.settings_types import Duration, Group


class AnchorSettings(Group):
    """Anchors: how far each partition is and its digest, signed, kept outside the database."""

    key_file: Path | None = Field(
        None,
        description="The private key (Ed25519, PEM). Set: a persister signs what it owns, by the "
        "clock; `ingest-service anchor` signs everything.",
    )
    file: Path | None = Field(
        None, description="Append anchors to this file, best on a volume of somebody else's."
    )
    topic: str | None = Field(
        None,
        min_length=1,
        description="Publish anchors to this topic. The topic of audit events is a good one: the "
        "forwarder brings them to each sink.",
    )
    every: Duration = Field(
        timedelta(hours=1),
        ge=timedelta(minutes=1),
        le=timedelta(days=1),
        description="How often a persister signs.",
    )

    def contradictions(self) -> Iterator[str]:
        """Yield what does not fit together."""
        if self.key_file is not None and not self.key_file.is_file():
            yield "INGEST_ANCHOR__KEY_FILE: no such file"
        if self.key_file is not None and self.file is None and self.topic is None:
            yield "INGEST_ANCHOR__KEY_FILE needs INGEST_ANCHOR__FILE or INGEST_ANCHOR__TOPIC"
        if self.key_file is None and (self.file is not None or self.topic is not None):
            yield "INGEST_ANCHOR__FILE and __TOPIC need INGEST_ANCHOR__KEY_FILE"
