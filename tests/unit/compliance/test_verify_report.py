"""What `verify` prints names places and classes, and is bounded."""

from __future__ import annotations

import json

from ingest_service.cli.verify_report import SHOWN, as_json, as_text
from ingest_service.compliance.findings import Class, Finding
from ingest_service.compliance.passage import StreamReport
from ingest_service.compliance.verify import Report
from ingest_service.ledger import Stream

STREAM = Stream(1, "events", 3, 2)
STREAMS = [StreamReport(STREAM, 10, 40, b"\xab" * 32, 4, 25, 20, 3, 2, 5)]
BAD = Finding(Class.ROW_DIFFERS, STREAM, 17, "", 2, ("user_id", "reason"))
GAP = Finding(Class.ACCEPTED_GAP, STREAM, 12, "5 records are gone", 1)


def test_good_report_says_so():
    """One line a stream with its end and digest, and that nothing is wrong."""
    text = as_text(Report(STREAMS, {Class.ACCEPTED_GAP: 1}, [GAP], 0.5))
    assert "1 streams, 4 entries, 25 records in 0.5 s (50 records/s)" in text
    assert (
        "events/3@2: offsets 10-40, 20 rows, 3 duplicates, 2 quarantined, "
        "5 offsets in accepted gaps; digest abababababababab" in text
    )
    assert "! accepted gap: 1" in text
    assert "✓ nothing wrong" in text


def test_bad_report_leads_with_the_first_bad_offset():
    """A notice before it is not what is wrong."""
    text = as_text(Report(STREAMS, {Class.ROW_DIFFERS: 3, Class.ACCEPTED_GAP: 1}, [GAP, BAD], 0.5))
    assert "✗ row differs: 3" in text
    assert "first bad offset: events/3@2 offset 17 (entry 2): row differs [user_id, reason]" in text
    assert "nothing wrong" not in text


def test_many_findings_do_not_flood_the_terminal():
    """The counts are of all; a person is shown the first."""
    many = [BAD._replace(offset=n) for n in range(100)]
    text = as_text(Report(STREAMS, {Class.ROW_DIFFERS: 9000}, many, 0.5))
    assert "✗ row differs: 9,000" in text
    assert text.count("(entry 2)") == SHOWN + 1
    assert "more with --json" in text


def test_row_of_no_stream_is_placed_all_the_same():
    """A finding without a topic is named by its stream's number, in JSON by nulls."""
    stray = Finding(Class.ROW_ADDED, Stream(99, "", -1, 0), 7, "its stream 99 does not exist")
    report = Report([], {Class.ROW_ADDED: 1}, [stray], 0.5)
    assert "(no stream 99) offset 7: row added: its stream 99 does not exist" in as_text(report)
    first = json.loads(as_json(report))["first_bad"]
    assert (first["topic"], first["stream_id"], first["offset"]) == (None, 99, 7)


def test_json_separates_findings_from_notices():
    """A machine reads `good`, the first bad place, counts, findings, notices and streams."""
    report = Report(STREAMS, {Class.ROW_DIFFERS: 3, Class.ACCEPTED_GAP: 1}, [GAP, BAD], 0.5)
    answer = json.loads(as_json(report))
    assert (answer["good"], answer["counts"]) == (False, {"row differs": 3, "accepted gap": 1})
    assert answer["first_bad"] == answer["findings"][0]
    assert answer["first_bad"] | {"detail": ""} == {
        "class": "row differs",
        "topic": "events",
        "partition": 3,
        "epoch": 2,
        "stream_id": 1,
        "offset": 17,
        "sequence": 2,
        "columns": ["user_id", "reason"],
        "detail": "",
        "times": 1,
    }
    assert [notice["class"] for notice in answer["notices"]] == ["accepted gap"]
    assert answer["streams"][0]["digest"] == "ab" * 32
