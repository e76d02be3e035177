"""The published contract: schema, examples, reference and decoder say the same."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from given_events import GOOD, KAFKA_MS, SECONDS, TELEMETRY, record
from ingest_service.events.audit_event import GatewayAuditEvent
from ingest_service.events.decode import decode
from ingest_service.events.record import Row
from ingest_service.events.rejection import Reason, Rejection
from ingest_service.events.schema import render_schema

ROOT = Path(__file__).parents[3]
SCHEMAS = ROOT / "schemas"
VALID = sorted((SCHEMAS / "examples" / "valid").glob("*.json"))
INVALID = sorted((SCHEMAS / "examples" / "invalid").glob("*.json"))
SAID_BY_SCHEMA = {
    Reason.MISSING_FIELD,
    Reason.WRONG_TYPE,
    Reason.TOO_LONG,
    Reason.BAD_ID,
    Reason.BAD_EVENT_TYPE,
    Reason.BAD_DECISION,
    Reason.NOT_AN_OBJECT,
}
NO_JSON = {Reason.NOT_JSON, Reason.NOT_UTF8, Reason.EMPTY}
WITHOUT_EXAMPLE = {Reason.TOO_LARGE, Reason.ID_REUSED, Reason.REFUSED_BY_DATABASE}


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    """Return a validator of the schema as it is published."""
    published = json.loads((SCHEMAS / "gateway_audit_event.schema.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(published)
    return jsonschema.Draft202012Validator(
        published, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def reason_of(path: Path) -> Reason:
    return Reason(path.stem.partition("-")[0])


def test_published_schema_is_the_types() -> None:
    """The file under schemas/ is what the Python type says today, and what the command prints."""
    published = (SCHEMAS / "gateway_audit_event.schema.json").read_bytes()
    command = [sys.executable, "-m", "ingest_service.events.schema"]
    assert published.decode() == render_schema(), f"{' '.join(command)} > the file"
    assert subprocess.run(command, capture_output=True, check=True).stdout == published


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid_example_is_a_row(path: Path, schema: jsonschema.Draft202012Validator) -> None:
    """What is shown as valid is valid to the schema and to the decoder."""
    schema.validate(json.loads(path.read_bytes()))
    assert isinstance(decode(record(path.read_bytes())), Row)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid_example_is_rejected(path: Path, schema: jsonschema.Draft202012Validator) -> None:
    """An invalid example has the reason of its name, and the schema refuses what it can express."""
    rejection = decode(record(path.read_bytes()))
    assert isinstance(rejection, Rejection)
    assert rejection.reason is reason_of(path)
    if rejection.reason not in NO_JSON:
        value = json.loads(path.read_bytes())
        assert schema.is_valid(value) is (rejection.reason not in SAID_BY_SCHEMA)


def test_every_reason_has_an_example() -> None:
    """A reader finds an example of every reason that the decoder gives."""
    assert {reason_of(path) for path in INVALID} == set(Reason) - WITHOUT_EXAMPLE


def test_reference_lists_every_reason() -> None:
    """The publisher's reference explains each reason once, and no other."""
    text = (ROOT / "docs" / "events.md").read_text("utf-8")
    table = text.partition("## Why a record is quarantined")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|[^|]+\|[^|]+\|$", table, re.MULTILINE)
    assert sorted(rows) == sorted(Reason)


@pytest.mark.parametrize("kept", [GOOD, TELEMETRY], ids=["decision", "telemetry"])
def test_typed_event_is_a_row(
    kept: dict[str, Any], schema: jsonschema.Draft202012Validator
) -> None:
    """An event made with the type, encoded as it is, is valid and keeps what was put in."""
    value = msgspec.json.encode(GatewayAuditEvent(**kept))
    schema.validate(json.loads(value))
    row = decode(record(value))
    assert isinstance(row, Row)
    assert row.event_type == kept["event_type"]
    assert row.decision == kept.get("decision")
    assert row.timestamp_us == 1_700_000_000_123_456
    assert json.loads(row.metadata) == kept["metadata"]


def test_event_made_now_is_near_its_record() -> None:
    """An event takes the time at which it is made, to the microsecond."""
    made = GatewayAuditEvent(event_type="tool_invoke", gateway_request_id="r", decision="deny")
    row = decode(record(msgspec.json.encode(made), kafka_ms=int(made.timestamp * 1_000)))
    assert isinstance(row, Row)
    assert row.timestamp_us == round(made.timestamp * 1_000_000)
    assert made.timestamp > SECONDS > KAFKA_MS / 1_000 - 1
