"""Who an entry says it is: the audit id, and its position in Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIXES = ("", "kafka_", "kafka.")


def identity(fields: Mapping[str, Any]) -> tuple[str | None, tuple[str, int, int] | None]:
    """Return the audit id and topic, partition and offset; None where the fields do not say.

    `topic`, `kafka_topic`, `kafka.topic` and `{"kafka": {"topic": …}}` are all understood: a
    sink takes any names, and what is counted here must not depend on the sender's taste.
    """
    nested = fields.get("kafka")
    places = [fields, nested if isinstance(nested, dict) else {}]
    audit_id = fields.get("audit_id")
    return (str(audit_id) if audit_id is not None else None), _position(places)


def _position(places: list[Mapping[str, Any]]) -> tuple[str, int, int] | None:
    for fields in places:
        for prefix in PREFIXES:
            found = [fields.get(f"{prefix}{name}") for name in ("topic", "partition", "offset")]
            if None not in found:
                topic, partition, offset = found
                return str(topic), int(partition or 0), int(offset or 0)
    return None
