"""A finished run of `verify`, as it is noted for dashboards and for whoever asks. Pure."""

import json

from ingest_service import __version__
from ingest_service.adapters.verification_record import Verification
from ingest_service.compliance.selection import EVERYTHING
from ingest_service.compliance.verify import Report


def verification_of(report: Report) -> Verification:
    """Return what is noted of a run: places, classes and counts, never content."""
    notices = sum(count for kind, count in report.counts.items() if kind.is_notice)
    return Verification(
        began_at=report.began_at,
        result="good" if report.is_good else "bad",
        whole=report.selection == EVERYTHING,
        scope=str(report.selection),
        streams=len(report.streams),
        entries=sum(each.entries for each in report.streams),
        records=sum(each.records for each in report.streams),
        anchors=report.anchors,
        findings=sum(report.counts.values()) - notices,
        notices=notices,
        counts=json.dumps({kind.value: count for kind, count in report.counts.items()}),
        first_bad=_first_bad(report),
        version=__version__,
    )


def _first_bad(report: Report) -> str | None:
    first = report.first_bad
    if first is None:
        return None
    stream = first.stream
    return f"{stream.topic}/{stream.partition}@{stream.epoch} offset {first.offset}: {first.kind}"
