"""What `verify` prints, for a person and for a machine: places and classes, never content."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ingest_service.compliance.findings import Finding
from ingest_service.compliance.passage import StreamReport
from ingest_service.compliance.selection import EVERYTHING
from ingest_service.compliance.verify import Report
from ingest_service.compliance.witness import NO_STREAM

SHOWN = 20
"""How many findings a person is shown; `--json` has the first 100 of each class and stream."""

_UNSEEN = (
    "Not seen from here: the newest entries cut off together with their originals and rows, or a "
    "whole history written anew. `verify --anchors` sees both."
)
_UNANCHORED = "Behind the last anchor of a stream the database is believed about its own past."


def as_json(report: Report) -> str:
    """Return the report as one JSON object."""
    first = report.first_bad
    return json.dumps(
        {
            "good": report.is_good,
            "first_bad": None if first is None else _finding(first),
            "counts": {kind.value: count for kind, count in report.counts.items()},
            "findings": [_finding(each) for each in report.findings if not each.kind.is_notice],
            "notices": [_finding(each) for each in report.findings if each.kind.is_notice],
            "streams": [_stream(each) for each in report.streams],
            "seconds": round(report.seconds, 3),
            "scope": str(report.selection),
            "began_at": report.began_at.isoformat(timespec="seconds"),
            "anchors": report.anchors,
        },
        indent=2,
    )


def as_text(report: Report) -> str:
    """Return the report as lines for a person."""
    unseen = _UNANCHORED if report.anchors else _UNSEEN
    return "\n".join([*_totals(report), *_streams(report.streams), *_found(report), unseen])


def _totals(report: Report) -> Iterator[str]:
    records = sum(each.records for each in report.streams)
    entries = sum(each.entries for each in report.streams)
    rate = records / report.seconds if report.seconds else 0.0
    if report.selection != EVERYTHING:
        yield f"checked: {report.selection}"
    yield (
        f"{len(report.streams)} streams, {entries:,} entries, {records:,} records "
        f"in {report.seconds:.1f} s ({rate:,.0f} records/s)"
    )


def _streams(reports: Sequence[StreamReport]) -> Iterator[str]:
    for each in reports:
        gap = f", {each.gap_offsets:,} offsets in accepted gaps" if each.gap_offsets else ""
        anchored = "" if each.anchored is None else f"; anchored up to {each.anchored}"
        yield (
            f"  {_name(each)}: offsets {each.first_offset}-{each.next_offset}, "
            f"{each.rows:,} rows, {each.duplicates:,} duplicates, "
            f"{each.quarantined:,} quarantined{gap}; digest {each.digest.hex()[:16]}{anchored}"
        )


def _found(report: Report) -> Iterator[str]:
    bad = [each for each in report.findings if not each.kind.is_notice]
    yield from (
        f"! {kind.value}: {count:,}" for kind, count in report.counts.items() if kind.is_notice
    )
    if report.first_bad is None:
        yield "✓ nothing wrong: every row, duplicate and quarantined record is what arrived"
        return
    for kind, count in report.counts.items():
        if not kind.is_notice:
            yield f"✗ {kind.value}: {count:,}"
    yield f"first bad offset: {_line(report.first_bad)}"
    yield from (f"  {_line(each)}" for each in bad[:SHOWN])
    if len(bad) > SHOWN:
        yield "  ... (more with --json)"


def _line(finding: Finding) -> str:
    where = f"{_name(finding)} offset {finding.offset}"
    entry = "" if finding.sequence is None else f" (entry {finding.sequence})"
    columns = f" [{', '.join(finding.columns)}]" if finding.columns else ""
    detail = f": {finding.detail}" if finding.detail else ""
    return f"{where}{entry}: {finding.kind.value}{columns}{detail}"


def _name(of: Finding | StreamReport) -> str:
    stream = of.stream
    if stream == NO_STREAM:
        return "(anchors)"
    if not stream.topic:
        return f"(no stream {stream.id})"
    return f"{stream.topic}/{stream.partition}@{stream.epoch}"


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "class": finding.kind.value,
        **_place(finding),
        "offset": finding.offset,
        "sequence": finding.sequence,
        "columns": list(finding.columns),
        "detail": finding.detail,
        "times": finding.times,
    }


def _stream(report: StreamReport) -> dict[str, Any]:
    return {
        **_place(report),
        "first_offset": report.first_offset,
        "next_offset": report.next_offset,
        "digest": report.digest.hex(),
        "entries": report.entries,
        "records": report.records,
        "rows": report.rows,
        "duplicates": report.duplicates,
        "quarantined": report.quarantined,
        "gap_offsets": report.gap_offsets,
        "anchored": report.anchored,
    }


def _place(of: Finding | StreamReport) -> dict[str, Any]:
    stream = of.stream
    return {
        "topic": stream.topic or None,
        "partition": stream.partition if stream.topic else None,
        "epoch": stream.epoch if stream.topic else None,
        "stream_id": stream.id,
    }
