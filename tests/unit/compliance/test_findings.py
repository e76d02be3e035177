"""Every finding counts; the first ones by offset are kept, however many there are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest_service.compliance.findings import Class, Finding, Findings
from ingest_service.ledger import Stream

STREAMS = [Stream(1, "events", 0, 1), Stream(2, "events", 0, 2), Stream(3, "events", 1, 1)]
FINDING = st.builds(
    Finding,
    kind=st.sampled_from([Class.ROW_MISSING, Class.BROKEN_LINK]),
    stream=st.sampled_from(STREAMS),
    offset=st.integers(0, 100),
    detail=st.just(""),
    times=st.just(1),
)


@given(found=st.lists(FINDING, max_size=60))
def test_first_by_offset_are_kept_in_whatever_order_they_come(found: list[Finding]):
    """Of each class and stream the lowest offsets survive, and all are counted."""
    findings = Findings(kept=3)
    for finding in found:
        findings.add(finding)
    first = findings.first()
    assert first == sorted(first, key=lambda finding: finding.place)
    for stream in STREAMS:
        for kind in Class:
            offsets = [each.offset for each in found if (each.kind, each.stream) == (kind, stream)]
            kept = [each.offset for each in first if (each.kind, each.stream) == (kind, stream)]
            assert kept == sorted(offsets)[:3]
    assert sum(findings.counts().values()) == len(found)


def test_finding_that_stands_for_many_counts_as_many():
    """A range told as one finding does not make the count smaller."""
    findings = Findings()
    findings.add(Finding(Class.ROW_MISSING, STREAMS[0], 5, "", times=1000))
    assert findings.counts() == {Class.ROW_MISSING: 1000}
