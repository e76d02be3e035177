"""Millions of rows as an honest persister would have left them: made by SQL, a day at a time."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from ingest_service.events.decode import CONTRACT
from ingest_service.ledger import Entry, Rules
from trail import BEGAN, LIMITS, Trail, value

if TYPE_CHECKING:
    from collections.abc import Callable

    import asyncpg

PARTITIONS = 6
TOPIC = "gateway.audit.events"

_OPEN_STREAMS = """
insert into gateway_audit_streams (topic, partition, epoch)
select $1, n, 1 from generate_series(0, $2::int - 1) as n
"""

# Skewed as a gateway's traffic is: a few users, servers and tools make most of it.
_ADD_DAY = """
insert into gateway_audit_events (id, event_type, user_id, agent_id, server_name, tool_name,
    decision, reason, "timestamp", gateway_request_id, metadata, created_at, stream_id,
    kafka_offset)
select
    (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(salt, 1, 3)
        || '8' || substr(salt, 4, 15))::uuid,
    kind,
    case when kind <> 'a2a_communication'
        then 'user' || (5000 * power(u1, 3))::int || '@example.com' end,
    case when kind = 'a2a_communication' or u4 < 0.1 then 'agent-' || (300 * power(u2, 2))::int end,
    case when kind <> 'a2a_communication' then 'mcp-server-' || (20 * power(u3, 2))::int end,
    case when kind = 'tool_invoke'
        then 'tool_' || (20 * power(u3, 2))::int || '_' || (10 * power(u2, 2))::int end,
    case when u4 < 0.08 then 'deny' else 'allow' end,
    case when u4 < 0.08 then 'no rule of policy default allows tool ' || (12 * u3)::int
        else 'matched rule ' || (40 * u3)::int || ' of policy default' end,
    at, 'req-' || n,
    jsonb_build_object('action', 'invoke', 'latency_ms', round((u1 * 40)::numeric, 2),
        'cache_hit', u2 < 0.6, 'client_ip', '10.1.0.' || (250 * u3)::int, 'session_id', salt,
        'source_type', 'type-' || (5 * u2)::int, 'target_type', 'type-' || (5 * u3)::int,
        'policy', jsonb_build_object('name', 'default', 'version', '42', 'rule', 'r12')),
    at + interval '1 second' * (0.1 + power(u1, 8) * 20), 1 + n % $4::int, n / $4::int
from (
    select n, $3::timestamptz + interval '1 day' * (n - $1) / ($2 - $1) as at, md5(n::text) as salt,
        random() as u1, random() as u2, random() as u3, random() as u4,
        case when n % 20 < 16 then 'tool_invoke' when n % 20 < 18 then 'a2a_communication'
            else 'discovery' end as kind
    from generate_series($1::bigint, $2::bigint - 1) as n
) as drawn
"""

# As long a chain as a year of one entry in three seconds; the hashes stand for real ones.
_ADD_ENTRIES = """
insert into gateway_audit_ledger (stream_id, sequence, kind, first_offset, next_offset, row_count,
    duplicate_count, quarantine_count, contract, limits, digest, previous_hash, hash)
select $1::int, n, 'records', n - 1, n, 1, 0, 0, $3, $4::text::jsonb, sha256(int8send(n)),
    sha256(int8send(n - 1)), sha256(int8send(n))
from generate_series(1, $2::bigint) as n
"""

_LAST_ENTRY = """
select stream_id, sequence, kind, first_offset, next_offset, row_count, duplicate_count,
    quarantine_count, contract, limits::text, digest, previous_hash, hash
from gateway_audit_ledger where stream_id = $1 order by sequence desc limit 1
"""

_ADD_QUARANTINE = """
insert into gateway_audit_quarantine (stream_id, kafka_offset, kafka_timestamp, key, headers,
    value, reason, message)
select 1, -n, now() - interval '30 days' * random(), convert_to('bad-' || n, 'UTF8'), '\\x90',
    convert_to('{"gateway_request_id": "bad-' || n || '", "pad": "' || repeat('x', 400) || '"}',
        'UTF8'), 'missing_field', 'add the field decision'
from generate_series(1, $1::bigint) as n
"""


async def fill(
    owner: asyncpg.Connection, rows: int, days: int, tell: Callable[[str], None] = print
) -> dt.datetime:
    """Fill an empty schema with this many rows over the last days; return the first day."""
    first = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first -= dt.timedelta(days=days)
    await owner.execute("set synchronous_commit = off")
    await owner.execute(_OPEN_STREAMS, TOPIC, PARTITIONS)
    await owner.execute(
        "select gateway_audit_make_partitions($1)",
        [(first + dt.timedelta(days=n)).date() for n in range(days)],
    )
    for day in range(days):
        bounds = rows * day // days, rows * (day + 1) // days
        await owner.execute(_ADD_DAY, *bounds, first + dt.timedelta(days=day), PARTITIONS)
        tell(f"{bounds[1]:,} of {rows:,} rows")
    await owner.execute(_ADD_QUARANTINE, rows // 1000)
    return first


async def add_chain(owner: asyncpg.Connection, entries: int, records: int) -> tuple[int, int]:
    """Add a partition with a long chain, whose last entry is honest and holds so many records.

    Return the partition and the first offset of that entry.
    """
    trail = Trail(owner, TOPIC)
    stream = await trail.open(PARTITIONS)
    await owner.execute("set session_replication_role = replica")  # a million keys are not asked
    rules = Rules.of(CONTRACT, LIMITS)
    await owner.execute(_ADD_ENTRIES, stream.id, entries, rules.contract, rules.limits)
    await owner.execute("set session_replication_role = origin")
    last = Entry(*await owner.fetchrow(_LAST_ENTRY, stream.id))
    begins = (BEGAN + dt.timedelta(seconds=entries)).date()
    await owner.execute(
        "select gateway_audit_make_partitions($1)", [begins, begins + dt.timedelta(days=1)]
    )
    trail._tails[stream.id] = last._replace(limits=rules.limits)
    entry = await trail.write(stream, [value(n) for n in range(entries, entries + records)])
    return PARTITIONS, entry.first_offset
