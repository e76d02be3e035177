"""Which entries of a stream belong to a time: by when records reached Kafka, and by what rows say.

A row may say a time long before its record arrived (`INGEST_EVENTS__MAX_AGE`). Whoever asks for
March is shown rows that say March, so the entries of those are checked as well.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias

from ingest_service.adapters.evidence import Evidence
from ingest_service.errors import SetupError
from ingest_service.ledger import Stream
from ingest_service.originals import OriginalsUnreadableError, unpack_originals
from ingest_service.shapes import Cut, Place, Scope

TIME_BITS = 10
"""Rows of a time are looked for in runs of 1,024 offsets: a few more than asked for are checked."""

_MOST_UNREADABLE = 100

Span: TypeAlias = tuple[int, int]
"""First and last sequence."""


class Wanted(NamedTuple):
    """A time; which offsets of the stream are anchored; which runs hold rows of that time."""

    span: tuple[datetime, datetime]
    anchored: Sequence[int]
    runs: Sequence[int]


async def runs_of_rows(evidence: Evidence, scope: Scope) -> list[Place]:
    """Return (stream id, number) of each run of offsets that holds rows of the scope's time."""
    return await evidence.tables.blocks_in_time(scope, TIME_BITS)


async def spans(evidence: Evidence, stream: Stream, whole: Cut, wanted: Wanted) -> list[Span]:
    """Return the entries to check, `whole` being all there are.

    Each span reaches to the next offset that is anchored: a digest over its records that arrives
    at the signed one can only be of the records that were signed.
    """
    since, until = (round(each.timestamp() * 1000) for each in wanted.span)
    found = await _arrived(evidence, stream, whole, since, until)
    if offsets := _offsets(wanted.runs):
        found += await evidence.entries_of(stream.id, offsets)
    if wanted.anchored:
        found = [
            await _to_anchor(evidence, stream, each, wanted.anchored) for each in merged(found)
        ]
    return merged(found)


def merged(found: Sequence[Span]) -> list[Span]:
    """Return the spans in order, those that touch being one."""
    result: list[Span] = []
    for first, last in sorted(found):
        if result and first <= result[-1][1] + 1:
            result[-1] = result[-1][0], max(last, result[-1][1])
        else:
            result.append((first, last))
    return result


def _offsets(runs: Sequence[int]) -> list[tuple[int, int]]:
    """Return runs as ranges of offsets, neighbours together."""
    return [
        (first << TIME_BITS, last + 1 << TIME_BITS)
        for first, last in merged([(number, number) for number in runs])
    ]


async def _to_anchor(
    evidence: Evidence, stream: Stream, span: Span, anchors: Sequence[int]
) -> Span:
    first, last = span
    [cut] = await evidence.cuts(stream.id, 2**62, first, last)
    due = min((each for each in anchors if each > cut.next_offset), default=None)
    if due is None:
        return span
    holding = await evidence.entries_of(stream.id, [(due - 1, due)])
    return first, max([last, *(each[1] for each in holding)])


async def _arrived(
    evidence: Evidence, stream: Stream, whole: Cut, since: int, until: int
) -> list[Span]:
    """Return the entries whose records reached Kafka in this time (in ms), found by bisection."""

    async def is_since(sequence: int) -> bool:
        times = await _times(evidence, stream, sequence)
        return times is not None and times[1] >= since

    async def is_past(sequence: int) -> bool:
        times = await _times(evidence, stream, sequence)
        return times is not None and times[0] >= until

    first = await _bisect(whole.first, whole.last, is_since)
    end = await _bisect(first, whole.last, is_past)
    return [(first, end - 1)] if first < end else []


async def _bisect(first: int, last: int, holds: Callable[[int], Awaitable[bool]]) -> int:
    """Return the first number for which it holds, `last + 1` if for none."""
    while first <= last:
        middle = (first + last) // 2
        if await holds(middle):
            last = middle - 1
        else:
            first = middle + 1
    return first


async def _times(evidence: Evidence, stream: Stream, sequence: int) -> tuple[int, int] | None:
    """Return when the newest records up to a sequence reached Kafka: the first, and the last.

    What cannot be read is passed over; the walk will find it. Raises `SetupError` after many.
    """
    for _ in range(_MOST_UNREADABLE):
        found = await evidence.newest_records(stream.id, sequence)
        if found is None:
            return None
        try:
            originals = unpack_originals(found[1], stream.topic, stream.partition)
        except OriginalsUnreadableError:
            originals = []
        if originals:
            times = [each.record.timestamp for each in originals]
            return min(times), max(times)
        sequence = found[0] - 1
    raise SetupError(
        f"nothing was proved: of {stream.topic}/{stream.partition} so many originals cannot be "
        "read that no time can be found in them. Run `verify` without --from and --to"
    )
