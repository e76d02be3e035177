"""The SQL that compares tables with what the originals say: no right to make a table is needed."""

# --- rows ----------------------------------------------------------------------------------------
# What the originals decode to comes as arrays, one a column.
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
