"""The SQL that the persister speaks, in one place."""

EVENT_COLUMNS = (
    "id",
    "event_type",
    "user_id",
    "agent_id",
    "server_name",
    "tool_name",
    "decision",
    "reason",
    "timestamp",
    "gateway_request_id",
    "metadata",
    "kafka_offset",
    "stream_id",
)
"""In the order of `events.record.Row`, then the stream."""

QUARANTINE_COLUMNS = (
    "stream_id",
    "kafka_offset",
    "kafka_timestamp",
    "key",
    "headers",
    "value",
    "reason",
    "message",
)

_EVENTS = (
    "id, event_type, user_id, agent_id, server_name, tool_name, decision, reason, "
    '"timestamp", gateway_request_id, metadata, kafka_offset, stream_id'
)

# Streams come sorted; the ones that somebody else holds come back.
TRY_LOCKS = """
select wanted.id
from unnest($2::int[]) as wanted (id)
where not pg_try_advisory_xact_lock($1, wanted.id)
"""

# No timeout of PostgreSQL ends a backend that waits inside COPY for a frozen client.
END_HOLDERS = """
select pid, pg_terminate_backend(pid) as ended
from pg_locks
where locktype = 'advisory' and granted
    and database = (select oid from pg_database where datname = current_database())
    and classid = $1::oid and objid = any ($2::oid[]) and objsubid = 2
    and pid <> pg_backend_pid()
"""

HEADS = """
select wanted.id, entry.sequence, entry.next_offset, entry.digest, entry.hash
from unnest($1::int[]) as wanted (id)
cross join lateral (
    select sequence, next_offset, digest, hash
    from gateway_audit_ledger
    where stream_id = wanted.id
    order by sequence desc
    limit 1
) as entry
"""

APPEND = """
insert into gateway_audit_ledger (
    stream_id, sequence, kind, first_offset, next_offset,
    row_count, duplicate_count, quarantine_count,
    contract, limits, digest, previous_hash, hash)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""

ADD_ORIGINALS = """
insert into gateway_audit_originals (stream_id, sequence, records) values ($1, $2, $3)
"""

MAKE_STAGE = """
create temporary table if not exists staged_events (
    like gateway_audit_events including defaults
) on commit delete rows
"""

INSERT_STAGED = f"""
insert into gateway_audit_events ({_EVENTS})
select {_EVENTS} from staged_events
order by stream_id, kafka_offset
on conflict do nothing
"""  # noqa: S608 - constants only

# `offset 0` keeps one index look-up a row: with no statistics on the staged rows the planner
# would rather read the whole table. jsonb is compared as text: to `=`, 1.10 and 1.1 are equal.
STAGED_CONFLICTS = """
select staged.stream_id, staged.kafka_offset,
    taken.stream_id as taken_stream_id, taken.kafka_offset as taken_offset,
    taken.same as same_content
from staged_events as staged
cross join lateral (
    select event.stream_id, event.kafka_offset,
        (staged.event_type, staged.user_id, staged.agent_id, staged.server_name,
            staged.tool_name, staged.decision, staged.reason, staged.gateway_request_id,
            staged.metadata::text)
        is not distinct from
        (event.event_type, event.user_id, event.agent_id, event.server_name,
            event.tool_name, event.decision, event.reason, event.gateway_request_id,
            event.metadata::text) as same
    from gateway_audit_events as event
    where event.id = staged.id and event."timestamp" = staged."timestamp"
    offset 0
) as taken
where (taken.stream_id, taken.kafka_offset) <> (staged.stream_id, staged.kafka_offset)
"""

MAKE_PARTITIONS = "select gateway_audit_make_partitions($1)"

NEWEST_STREAM = """
select id, topic, partition, epoch
from gateway_audit_streams
where topic = $1 and partition = $2
order by epoch desc
limit 1
"""

OPEN_FIRST_EPOCH = """
insert into gateway_audit_streams (topic, partition, epoch) values ($1, $2, 1)
on conflict do nothing
"""

LAST_ORIGINALS = """
select original.records
from gateway_audit_ledger as entry
join gateway_audit_originals as original
    on original.stream_id = entry.stream_id and original.sequence = entry.sequence
    and original.created_at = entry.created_at  -- of one transaction; else every chunk is probed
where entry.stream_id = $1 and entry.next_offset = $2 and entry.kind = 'records'
order by entry.sequence desc
limit 1
"""

# Whole entries without a row or a duplicate, from the end back to the first that has one.
REJECTED_IN_A_ROW = """
select coalesce(sum(quarantine_count), 0)
from gateway_audit_ledger
where stream_id = $1 and kind = 'records'
    and sequence > coalesce((
        select max(sequence) from gateway_audit_ledger
        where stream_id = $1 and row_count + duplicate_count > 0), -1)
"""

MISSING_SETUP = """
select wanted.name, to_regclass(wanted.name) is null as missing,
    case when to_regclass(wanted.name) is null then false
        else has_table_privilege(wanted.name, 'select')
            and has_any_column_privilege(wanted.name, 'insert') end as allowed
from (values ('gateway_audit_streams'), ('gateway_audit_ledger'), ('gateway_audit_originals'),
    ('gateway_audit_events'), ('gateway_audit_quarantine')) as wanted (name)
"""
