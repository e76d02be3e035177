"""The SQL that `verify` speaks, in one place: reading only, and no temporary table."""

STREAMS = """
select id, topic, partition, epoch
from gateway_audit_streams
order by topic, partition, epoch
"""

EXPECTED_RECORDS = """
select coalesce(sum(next_offset - first_offset), 0)::bigint
from gateway_audit_ledger
where kind = 'records' and stream_id = any ($1::smallint[])
"""

ENTRIES = """
select stream_id, sequence, kind, first_offset, next_offset, row_count, duplicate_count,
    quarantine_count, contract, limits::text, digest, previous_hash, hash
from gateway_audit_ledger
where stream_id = $1
order by sequence
"""

ORIGINALS = """
select sequence, records
from gateway_audit_originals
where stream_id = $1
order by sequence, created_at
"""

# --- rows ----------------------------------------------------------------------------------------
# What the originals decode to comes as arrays, one a column: no right to make a table is needed.
# jsonb is compared as text: to `=`, 1.10 and 1.1 are equal, and so are 0 and -0.

_EXPECTED = """
with expected as (
    select given.index, given.id, given.event_type, given.user_id, given.agent_id,
        given.server_name, given.tool_name, given.decision, given.reason,
        timestamptz 'epoch' + given.microseconds * interval '1 microsecond' as "timestamp",
        given.gateway_request_id, given.metadata::jsonb::text as metadata,
        given.kafka_offset, given.stream_id
    from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
        $7::text[], $8::text[], $9::bigint[], $10::text[], $11::text[], $12::bigint[],
        $13::smallint[])
        with ordinality as given (id, event_type, user_id, agent_id, server_name, tool_name,
            decision, reason, microseconds, gateway_request_id, metadata, kafka_offset, stream_id,
            index)
)
"""

_SAME_KEY = """found.id = expected.id and found."timestamp" = expected."timestamp\""""

# The bounds are constants when it is planned, so chunks and partitions of other days are left out.
_IN_TIME = 'found."timestamp" between $14::timestamptz and $15::timestamptz'

_SAME_CONTENT = """
    (found.event_type, found.user_id, found.agent_id, found.server_name, found.tool_name,
        found.decision, found.reason, found.gateway_request_id, found.metadata::text)
    is not distinct from
    (expected.event_type, expected.user_id, expected.agent_id, expected.server_name,
        expected.tool_name, expected.decision, expected.reason, expected.gateway_request_id,
        expected.metadata)
"""

_DIFFERING = """
    array_remove(array[
        case when found.id <> expected.id then 'id' end,
        case when found.event_type <> expected.event_type then 'event_type' end,
        case when found.user_id is distinct from expected.user_id then 'user_id' end,
        case when found.agent_id is distinct from expected.agent_id then 'agent_id' end,
        case when found.server_name is distinct from expected.server_name then 'server_name' end,
        case when found.tool_name is distinct from expected.tool_name then 'tool_name' end,
        case when found.decision is distinct from expected.decision then 'decision' end,
        case when found.reason <> expected.reason then 'reason' end,
        case when found."timestamp" <> expected."timestamp" then 'timestamp' end,
        case when found.gateway_request_id <> expected.gateway_request_id
            then 'gateway_request_id' end,
        case when found.metadata::text <> expected.metadata then 'metadata' end,
        case when found.stream_id <> expected.stream_id then 'stream_id' end,
        case when found.kafka_offset <> expected.kafka_offset then 'kafka_offset' end
    ], null) as columns
"""

UNCONFIRMED = f"""
{_EXPECTED}
select expected.index
from expected
where not exists (
    select from gateway_audit_events as found
    where {_SAME_KEY} and {_IN_TIME} and found.stream_id = any ($16::smallint[])
        and found.stream_id = expected.stream_id and found.kafka_offset = expected.kafka_offset
        and {_SAME_CONTENT})
"""  # noqa: S608 - constants only

# Every row with the expected one's key, wherever it stands.
BY_KEY = f"""
{_EXPECTED}
select expected.index, {_DIFFERING}
from expected
join gateway_audit_events as found on {_SAME_KEY} and {_IN_TIME}
"""  # noqa: S608 - constants only

# There is no index on the place: this reads the whole table, once a run.
BY_PLACE = f"""
{_EXPECTED}
select expected.index, {_DIFFERING}
from expected
join gateway_audit_events as found
    on found.stream_id = expected.stream_id and found.kafka_offset = expected.kafka_offset
where $14::timestamptz <= $15::timestamptz -- here the times are what may be wrong: not used
"""  # noqa: S608 - constants only

# --- completeness --------------------------------------------------------------------------------

# A block is 2^$2 offsets of a stream. Rows in ranges that cannot be judged are left out.
ROWS_PER_BLOCK = """
select stream_id, kafka_offset >> $2::int as block, count(*)
from gateway_audit_events as found
where ($1::smallint[] is null or stream_id = any ($1))
    and not exists (
        select from unnest($3::smallint[], $4::bigint[], $5::bigint[])
            as blind (stream_id, first_offset, next_offset)
        where blind.stream_id = found.stream_id and found.kafka_offset >= blind.first_offset
            and found.kafka_offset < blind.next_offset)
group by 1, 2
"""

PLACES_IN_BLOCKS = """
select stream_id, kafka_offset, count(*)
from gateway_audit_events
where (stream_id, kafka_offset >> $1::int) in (
    select stream_id, block from unnest($2::smallint[], $3::bigint[]) as odd (stream_id, block))
group by 1, 2
order by 1, 2
"""

_RANGES = """
unnest($1::smallint[], $2::bigint[], $3::bigint[])
    with ordinality as given (stream_id, first_offset, next_offset, index)
"""

_IN_RANGE = """
found.stream_id = given.stream_id and found.kafka_offset >= given.first_offset
    and found.kafka_offset < given.next_offset
"""

ROWS_IN_RANGES = f"""
select given.index, count(*)
from gateway_audit_events as found
join {_RANGES} on {_IN_RANGE}
group by 1
"""  # noqa: S608 - constants only

QUARANTINE_IN_RANGES = f"""
select given.index, count(*)
from gateway_audit_quarantine as found
join {_RANGES} on {_IN_RANGE}
group by 1
"""  # noqa: S608 - constants only

# Ids that stand more than once: at two times (the key allows it), or twice under one key (which
# only a table whose key was switched off, or a compressed chunk, can hold).
REPEATED_IDS = """
with keys as (
    select id, "timestamp", count(*) as copies
    from gateway_audit_events
    where $1::smallint[] is null or stream_id = any ($1)
    group by id, "timestamp"
),
ids as (
    select id, count(*) as times, max(copies) as copies
    from keys
    group by id
    having count(*) > 1 or max(copies) > 1
),
repeated as (
    select id, times, copies,
        count(*) filter (where times > 1) over () as ids_at_two_times,
        count(*) filter (where copies > 1) over () as keys_twice
    from ids
    order by id
    limit $2
)
select repeated.times, repeated.copies, repeated.ids_at_two_times, repeated.keys_twice,
    place.stream_id, place.kafka_offset
from repeated
cross join lateral (
    select stream_id, kafka_offset
    from gateway_audit_events as found
    where found.id = repeated.id
        and ($1::smallint[] is null or found.stream_id = any ($1))
    order by found.created_at desc, stream_id desc, kafka_offset desc
    limit 1
) as place
"""

# --- quarantine ----------------------------------------------------------------------------------

# What the originals say against what is there, both ways, for one range of offsets.
QUARANTINE = """
with expected as (
    select *
    from unnest($4::bigint[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bytea[], $9::text[])
        as given (kafka_offset, milliseconds, key, headers, value, reason)
),
found as (
    select kafka_offset, kafka_timestamp, key, headers, value, reason
    from gateway_audit_quarantine
    where stream_id = $1 and kafka_offset >= $2 and kafka_offset < $3
)
select kafka_offset, expected.reason is not null as said, found.reason is not null as there,
    array_remove(array[
        case when extract(epoch from found.kafka_timestamp) * 1000 <> expected.milliseconds
            then 'kafka_timestamp' end,
        case when found.key is distinct from expected.key then 'key' end,
        case when found.headers <> expected.headers then 'headers' end,
        case when found.value is distinct from expected.value then 'value' end,
        case when found.reason <> expected.reason then 'reason' end
    ], null) as columns
from expected
full join found using (kafka_offset)
where expected.reason is null or found.reason is null
    or extract(epoch from found.kafka_timestamp) * 1000 <> expected.milliseconds
    or (found.key, found.headers, found.value, found.reason)
        is distinct from (expected.key, expected.headers, expected.value, expected.reason)
order by kafka_offset
"""

# Quarantine outside every range that the ledger's records cover.
QUARANTINE_OUTSIDE = """
select stream_id, kafka_offset, count(*) over () as total
from gateway_audit_quarantine as found
where ($1::smallint[] is null or stream_id = any ($1))
    and not exists (
        select from unnest($2::smallint[], $3::bigint[], $4::bigint[])
            as covered (stream_id, first_offset, next_offset)
        where covered.stream_id = found.stream_id
            and found.kafka_offset >= covered.first_offset
            and found.kafka_offset < covered.next_offset)
order by stream_id, kafka_offset
limit $5
"""
