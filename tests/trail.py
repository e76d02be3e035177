"""Writes what an honest persister would write, from the ledger's own functions: no persister."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ingest_service import ledger
from ingest_service.events.decode import CONTRACT, decode
from ingest_service.events.record import Limits, Row, StoredRecord
from ingest_service.ledger import Entry, Rules, Stream, Verdict
from ingest_service.originals import pack_originals

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

TOPIC = "gateway.audit.events"
BEGAN = datetime(2025, 6, 2, 23, 59, 50, tzinfo=UTC)
"""Records come a second apart from here: ten of them, and the next are of another day."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LIMITS = Limits(max_age_seconds=30 * 86_400)

_ENTRY_COLUMNS = (
    "stream_id, sequence, kind, first_offset, next_offset, row_count, duplicate_count,"
    " quarantine_count, contract, limits, digest, previous_hash, hash"
)


def event(number: int, **fields: Any) -> dict[str, Any]:
    """Return the event of this number, but for the fields given: the same number, the same id."""
    return {
        "id": str(UUID(int=(7 << 76) | (2 << 62) | number)),
        "event_type": "tool_invoke",
        "user_id": f"user-{number % 3}",
        "agent_id": None,
        "server_name": "files",
        "tool_name": f"tool-{number % 5}",
        "decision": "deny" if number % 7 == 0 else "allow",
        "reason": "policy",
        "timestamp": BEGAN.timestamp() + number,
        "gateway_request_id": f"request-{number}",
        "metadata": {"latency_ms": number, "params": {"path": f"/p/{number}"}},
    } | fields


def value(number: int, **fields: Any) -> bytes:
    """Return `event` as a record's value."""
    return json.dumps(event(number, **fields)).encode()


class Trail:
    """Appends to streams; knows the rows it wrote, and so duplicates and reused ids."""

    def __init__(self, connection: asyncpg.Connection, topic: str = TOPIC) -> None:
        self.connection = connection
        self._topic = topic
        self._rules = Rules.of(CONTRACT, LIMITS)
        self._tails: dict[int, Entry] = {}
        self._written: dict[tuple[str, int], tuple[int, Row]] = {}

    async def open(self, partition: int = 0, epoch: int = 1, offset: int = 0) -> Stream:
        """Open a stream that starts at this offset."""
        stream_id = await self.connection.fetchval(
            "insert into gateway_audit_streams (topic, partition, epoch, reason)"
            " values ($1, $2, $3, 'test') returning id",
            self._topic,
            partition,
            epoch,
        )
        days = [(BEGAN + timedelta(days=day)).date() for day in range(-1, 3)]
        await self.connection.execute("select gateway_audit_make_partitions($1)", days)
        stream = Stream(stream_id, self._topic, partition, epoch)
        await self._append(ledger.start_entry(stream, offset, self._rules))
        return stream

    async def write(self, stream: Stream, values: Sequence[bytes | None]) -> Entry:
        """Append one entry of records with these values."""
        head = self._tails[stream.id].head
        records = [
            StoredRecord(
                stream.topic,
                stream.partition,
                offset,
                int((BEGAN.timestamp() + offset) * 1000),
                b"key-%d" % offset,
                content,
                [("traceparent", b"00-%d" % offset), ("bad\udcff", None)],
            )
            for offset, content in enumerate(values, head.next_offset)
        ]
        rulings = [await self._rule(stream, record) for record in records]
        frames = [ledger.frame(record) for record in records]
        verdicts = [verdict for verdict, _ in rulings]
        await self._write_rows(stream, [row for _, row in rulings if row is not None])
        entry = ledger.records_entry(
            stream.id, head, ledger.extend_digest(head.digest, frames), verdicts, self._rules
        )
        await self.connection.execute(
            "insert into gateway_audit_originals (stream_id, sequence, records)"
            " values ($1, $2, $3)",
            stream.id,
            entry.sequence,
            pack_originals(frames, verdicts),
        )
        await self._append(entry)
        return entry

    async def gap(self, stream: Stream, next_offset: int) -> Entry:
        """Append an accepted gap."""
        head = self._tails[stream.id].head
        entry = ledger.gap_entry(stream.id, head, next_offset, self._rules)
        await self._append(entry)
        return entry

    def tail(self, stream: Stream) -> Entry:
        """Return the stream's last entry."""
        return self._tails[stream.id]

    async def _rule(self, stream: Stream, record: StoredRecord) -> tuple[Verdict, Row | None]:
        ruling = decode(record, CONTRACT, LIMITS)
        if not isinstance(ruling, Row):
            await self._quarantine(stream, record, ruling.reason.value)
            return ruling.reason.value, None
        key = ruling.id, ruling.timestamp_us
        if key not in self._written:
            self._written[key] = stream.id, ruling
            return None, ruling
        stream_id, there = self._written[key]
        if there._replace(kafka_offset=ruling.kafka_offset) == ruling:
            return (stream_id, there.kafka_offset), None
        await self._quarantine(stream, record, "id_reused")
        return "id_reused", None

    async def _write_rows(self, stream: Stream, rows: Sequence[Row]) -> None:
        await self.connection.copy_records_to_table(
            "gateway_audit_events",
            columns=[
                *("timestamp" if name == "timestamp_us" else name for name in Row._fields),
                "stream_id",
            ],
            records=[(*_columns(row), stream.id) for row in rows],
        )

    async def _quarantine(self, stream: Stream, record: StoredRecord, reason: str) -> None:
        await self.connection.execute(
            "insert into gateway_audit_quarantine (stream_id, kafka_offset, kafka_timestamp, key,"
            " headers, value, reason, message) values ($1, $2, $3, $4, $5, $6, $7, 'test')",
            stream.id,
            record.offset,
            EPOCH + timedelta(milliseconds=record.timestamp),
            record.key,
            ledger.encode_headers(record.headers),
            record.value,
            reason,
        )

    async def _append(self, entry: Entry) -> None:
        places = ", ".join(f"${n}" for n in range(1, len(entry) + 1))
        await self.connection.execute(
            f"insert into gateway_audit_ledger ({_ENTRY_COLUMNS}) values ({places})", *entry
        )
        self._tails[entry.stream_id] = entry


def _columns(row: Row) -> Row:
    """Return the row with what asyncpg takes for a time and for jsonb."""
    moment = EPOCH + timedelta(microseconds=row.timestamp_us)
    return row._replace(timestamp_us=moment, metadata=row.metadata.decode())
