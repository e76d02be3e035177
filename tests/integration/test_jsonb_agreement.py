"""The decoder is the only judge: what it accepts, PostgreSQL stores and can print again.

If this fails, a batch of 10,000 good rows would be bisected for one bad row, which costs three
quarters of the speed, and a row could be written that nobody can read.
"""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from hypothesis import strategies as st

from drawn_events import changed_events, draw, json_values, text, values
from given_events import event, event_without, record, spelled
from ingest_service.events.decode import decode
from ingest_service.events.record import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest_service.events.record import StoredRecord

pytestmark = pytest.mark.database

TABLE = """
create temporary table kept (
  id uuid, event_type text, user_id text, agent_id text, server_name text, tool_name text,
  decision text, reason text, "timestamp" timestamptz, gateway_request_id text, metadata jsonb,
  kafka_offset bigint
)
"""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DRAWN = 2_000
LITERALS = [
    *("-0", "-0.0", "1e308", "-1e308", "1e-308", "0e308", "0e-308", "0.0e-308", "1E+0000000308"),
    *("9" * 40, "1." + "0" * 38, "1" * 35 + "e-308", "1" * 35 + "e+308", "18446744073709551616"),
    *("1e309", "1e-309", "1e-20000", "1e131071", "1e131072", "0e99999", "9" * 41, "1e400"),
]
STRINGS = [
    *(rb"\u0000", rb"\\u0000", rb"\\\u0000", rb"\ud800", rb"\udc00", rb"\ud83d\ude00", rb"\ud83d"),
    *(
        rb"\uffff",
        rb"\ufffe",
        rb"\ufdd0",
        rb"\u0001",
        rb"\u007f",
        rb"\x",
        rb"\u12",
        b"\x00",
        b"\x01",
    ),
    *(
        b"\x7f",
        b"\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf4\x8f\xbf\xbf",
        b"\xc2\x80",
    ),
    *(
        b"\xe2\x80\xa8",
        b"\xef\xbb\xbf",
        b"\xef\xbf\xbf",
        b"\t",
        b"\n",
        rb"\/",
        rb"\b",
        "é😀".encode(),
    ),
]
FIELDS = ["metadata", "shard", "user_id", "reason", "gateway_request_id", "event_type", "timestamp"]


def by_hand() -> Iterator[StoredRecord]:
    """Yield records with each hostile piece at each place."""
    numbers = [literal.encode() for literal in LITERALS]
    strings = [b'"' + text + b'"' for text in STRINGS]
    pieces = [*numbers, *strings, b"NaN", b"Infinity", b"nul", b"[]", b"{}", b"true", b"null"]
    shapes = [b"%b", b"[%b]", b'{"a":%b}', b'{"a":[{"b":[1,%b]}],"a":2}', b' { "_ingest" : %b } ']
    keys = [b"{%b:1}", b'{"a":{%b:1,"\xef\xbf\xbd":2}}']
    for name, shape, piece in itertools.product(FIELDS, shapes, pieces):
        yield spelled(name, shape % piece)
    for name, shape, key in itertools.product(FIELDS, keys, strings):
        yield spelled(name, shape % key)
    for depth in (61, 62, 63, 64, 1_500):
        yield spelled("metadata", '{"d":' + "[" * depth + "]" * depth + "}")
    yield event_without("id")
    yield spelled("metadata", '{"many":[' + "1e308," * 20_000 + "1e-308]}")
    yield spelled("metadata", "{" + ",".join(f'"k{n}":{n}' for n in range(50_000)) + "}")
    yield event(reason="r" * 1_000_000)


def drawn() -> Iterator[StoredRecord]:
    """Yield what Hypothesis makes, four records from each example."""
    metadata_values = st.dictionaries(text, json_values, max_size=4)
    example = st.tuples(values, changed_events(), metadata_values, text)
    for value, changed, metadata, name in draw(example, DRAWN):
        yield record(value)
        yield record(changed)
        yield event(metadata=metadata)
        yield event(**{"user_id": name, f"x{name}": metadata})


@pytest.fixture(scope="module")
def records() -> list[StoredRecord]:
    """Return hostile records, the same for every edition of the database."""
    return [*by_hand(), *drawn()]


def columns(row: Row) -> tuple[Any, ...]:
    """Return the row as COPY takes it."""
    moment = EPOCH + timedelta(microseconds=row.timestamp_us)
    return tuple(row._replace(timestamp_us=moment))


def exact(text: str | bytes) -> Any:
    """Parse JSON without losing a digit."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


async def test_postgresql_keeps_what_the_decoder_accepts(
    database_dsn: str, records: list[StoredRecord]
) -> None:
    """Every accepted record is stored in one COPY, prints again, and says the same."""
    verdicts = [decode(given._replace(offset=n)) for n, given in enumerate(records)]
    rows = [verdict for verdict in verdicts if isinstance(verdict, Row)]
    assert len(records) >= 10_000
    assert len(rows) >= 3_000
    connection = await asyncpg.connect(database_dsn)
    try:
        await connection.set_type_codec(
            "jsonb",
            schema="pg_catalog",
            encoder=lambda text: b"\x01" + text,
            decoder=bytes,
            format="binary",
        )
        await connection.execute(TABLE)
        await connection.copy_records_to_table("kept", records=map(columns, rows))
        stored = await connection.fetch(
            "select id::text, user_id, reason, gateway_request_id, metadata::text as metadata,"
            ' "timestamp" from kept order by kafka_offset'
        )
    finally:
        await connection.close()
    for row, kept in zip(rows, stored, strict=True):
        assert exact(kept["metadata"]) == exact(row.metadata)
        assert kept["timestamp"] == EPOCH + timedelta(microseconds=row.timestamp_us)
        assert (kept["id"], kept["user_id"]) == (row.id, row.user_id)
        assert (kept["reason"], kept["gateway_request_id"]) == (row.reason, row.gateway_request_id)
