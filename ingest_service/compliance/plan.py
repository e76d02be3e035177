"""Cuts what is to be checked into pieces."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ingest_service.adapters.evidence import FIRST, LAST, Evidence
from ingest_service.compliance.chain import Anchored
from ingest_service.compliance.findings import Class, Finding
from ingest_service.compliance.pieces import Piece
from ingest_service.compliance.selection import Selection
from ingest_service.compliance.timespan import Wanted, runs_of_rows, spans
from ingest_service.errors import SetupError
from ingest_service.ledger import Stream
from ingest_service.shapes import Cut, Scope

PIECE_RECORDS = 200_000
"""A few seconds' work: what a run that is broken off loses, and how evenly processes share."""

_ALL = 2**62

Anchors = Mapping[tuple[str, int, int], Sequence[Anchored]]
"""What was signed of each (topic, partition, epoch)."""


class Plan(NamedTuple):
    """The pieces, in order; which streams there are; what to ask whole tables about."""

    streams: Sequence[Stream]
    chosen: Sequence[Stream]
    pieces: Sequence[Piece]
    scope: Scope
    findings: Sequence[Finding]


async def make_plan(evidence: Evidence, selection: Selection, anchors: Anchors) -> Plan:
    """Return what to check. Raises `SetupError` when nothing is selected."""
    streams = await evidence.streams()
    chosen = [stream for stream in streams if selection.takes(stream)]
    if selection.names_streams and not chosen:
        raise SetupError("the ledger knows no such topic or partition")
    ids = [stream.id for stream in chosen] if selection.names_streams else None
    since, until = selection.span or (None, None)
    scope = Scope(ids, since, until)
    runs = [] if since is None else await runs_of_rows(evidence, scope)
    pieces: list[Piece] = []
    findings: list[Finding] = []
    for stream in chosen:
        own = anchors.get((stream.topic, stream.partition, stream.epoch), ())
        whole = await evidence.cuts(stream.id, _ALL)
        findings += _beyond(stream, whole, own)
        if selection.span is None:
            cuts = await evidence.cuts(stream.id, PIECE_RECORDS)
            pieces += _pieces(stream, _stretched(cuts), own)
        elif whole:
            wanted = Wanted(
                selection.span,
                sorted(each.next_offset for each in own),
                [number for of, number in runs if of == stream.id],
            )
            for first, last in await spans(evidence, stream, whole[0], wanted):
                cuts = await evidence.cuts(stream.id, PIECE_RECORDS, first, last)
                pieces += _pieces(stream, cuts, own)
    findings += _unknown(streams, selection, anchors)
    return Plan(streams, chosen, pieces, scope, findings)


def _stretched(cuts: Sequence[Cut]) -> list[Cut]:
    """Let pieces touch and reach to both ends: originals under any sequence are met by one."""
    if not cuts:
        return [Cut(FIRST, LAST, 0, 0, 0, b"")]
    firsts = [FIRST, *(cut.first for cut in cuts[1:])]
    lasts = [*(cut.first - 1 for cut in cuts[1:]), LAST]
    return [
        cut._replace(first=first, last=last)
        for cut, first, last in zip(cuts, firsts, lasts, strict=True)
    ]


def _pieces(stream: Stream, cuts: Sequence[Cut], anchors: Sequence[Anchored]) -> list[Piece]:
    """Return the pieces, each with the anchors behind its first offset up to its end."""
    return [
        Piece(
            stream,
            *(cut.first, cut.last, cut.records, cut.last_hash),
            tuple(
                sorted(
                    each
                    for each in anchors
                    if cut.first_offset < each.next_offset <= cut.next_offset
                    or (cut.first in (FIRST, 0) and each.next_offset == cut.first_offset)
                )
            ),
        )
        for cut in cuts
    ]


def _beyond(stream: Stream, whole: Sequence[Cut], anchors: Sequence[Anchored]) -> list[Finding]:
    """Find anchors that stand outside all that the ledger has of a stream."""
    first, end = (whole[0].first_offset, whole[0].next_offset) if whole else (0, -1)
    detail = f"signed, and the ledger has {first} to {end}" if whole else "the ledger is empty"
    return [
        Finding(Class.ANCHOR_BEYOND, stream, each.next_offset, detail)
        for each in anchors
        if not first <= each.next_offset <= end
    ]


def _unknown(streams: Sequence[Stream], selection: Selection, anchors: Anchors) -> list[Finding]:
    """Find anchors of streams that the ledger does not have."""
    known = {(each.topic, each.partition, each.epoch) for each in streams}
    missing = [Stream(0, *name) for name in sorted(anchors.keys() - known)]
    return [
        Finding(Class.ANCHOR_BEYOND, stream, each.next_offset, "the ledger has no such stream")
        for stream in missing
        if selection.takes(stream)
        for each in anchors[stream.topic, stream.partition, stream.epoch]
    ]
