"""Where a partition of a sink goes on, or why it must not: pure."""

from typing import Final, Literal, NamedTuple

from ingest_service.errors import Stop, StopReason
from ingest_service.shapes import Bounds


class Beginning(NamedTuple):
    """Where a partition begins that the group has never committed an offset of.

    `at` is the log's start, its end, or a Kafka time in milliseconds. With `accept_gap` a
    partition whose next offset has left Kafka goes on at the oldest record that is left.
    """

    at: Literal["earliest", "latest"] | int = "earliest"
    accept_gap: bool = False


EARLIEST: Final = Beginning()


def where_to_begin(
    committed: int | None, bounds: Bounds, at_time: int | None, beginning: Beginning
) -> int | Stop:
    """Return the offset to read first, or why reading must not go on.

    `at_time` is the first offset at the beginning's time; None when the log has none.
    """
    if committed is None:
        if beginning.at == "earliest":
            return bounds.start
        return bounds.end if beginning.at == "latest" or at_time is None else at_time
    if bounds.start <= committed <= bounds.end:
        return committed
    if beginning.accept_gap:
        return bounds.start
    if committed < bounds.start:
        return Stop(
            StopReason.GAP,
            f"records {committed} to {bounds.start - 1} have left Kafka before this sink had them: "
            "`ingest-service replay sink` refills it from the originals and says how to go on; "
            "`forward --accept-gap` goes on without them, at the oldest record that is left",
        )
    return Stop(
        StopReason.TRUNCATED,
        f"the log ends at offset {bounds.end}, before {committed} where this sink goes on: the "
        "topic was truncated, or deleted and made again. `forward --accept-gap` goes on at its "
        "oldest record",
    )
