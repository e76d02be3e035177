"""The SQL that `trace` speaks: reading only, each by an index."""

STREAMS = """
select id, topic, partition, epoch
from gateway_audit_streams
where topic = $1 and partition = $2
order by epoch desc
"""

STREAM = """
select id, topic, partition, epoch
from gateway_audit_streams
where id = $1
"""

PARTITIONS = """
select distinct on (partition) id, topic, partition, epoch
from gateway_audit_streams
where topic = $1
order by partition, epoch desc
"""

REACH = """
select first.first_offset, last.next_offset, last.sequence
from (select first_offset from gateway_audit_ledger
    where stream_id = $1 order by sequence limit 1) as first,
    (select next_offset, sequence from gateway_audit_ledger
    where stream_id = $1 order by sequence desc limit 1) as last
"""

_ENTRY = """
e.stream_id, e.sequence, e.kind, e.first_offset, e.next_offset, e.row_count, e.duplicate_count,
    e.quarantine_count, e.contract, e.limits::text as limits, e.digest, e.previous_hash, e.hash,
    e.note, e.created_at
"""

# No index holds offsets: sequences have no hole, and offsets grow with them, so it is halved.
# Over a hole that somebody made it finds nothing.
COVERING = f"""
with recursive search (low, high) as (
    select min(sequence), max(sequence) from gateway_audit_ledger where stream_id = $1
    union all
    select
        case when middle.next_offset > $2 then search.low else middle.sequence + 1 end,
        case when middle.next_offset > $2 then middle.sequence else search.high end
    from search
    join gateway_audit_ledger as middle
        on middle.stream_id = $1 and middle.sequence = (search.low + search.high) / 2
    where search.low < search.high
)
select {_ENTRY}
from search
join gateway_audit_ledger as e on e.stream_id = $1 and e.sequence = search.low
where search.low = search.high and e.first_offset <= $2 and e.next_offset > $2
"""  # noqa: S608 - constants only

DIGEST_BEFORE = """
select digest from gateway_audit_ledger where stream_id = $1 and sequence = $2 - 1
"""

# Both have their transaction's time, so one chunk is read first; those that somebody put there at
# another time are looked for everywhere. What is too large is not fetched.
ORIGINALS = """
select case when octet_length(records) <= $4 then records end as records
from (
    (select records from gateway_audit_originals
    where stream_id = $1 and sequence = $2 and created_at = $3)
    union all
    (select records from gateway_audit_originals
    where stream_id = $1 and sequence = $2 and created_at <> $3)
) as kept
limit 1
"""

_ROW = """
e.id::text, e.event_type, e.user_id, e.agent_id, e.server_name, e.tool_name, e.decision, e.reason,
    e."timestamp", e.gateway_request_id, e.metadata::text as metadata, e.created_at, e.stream_id,
    e.kafka_offset
"""

ROWS_OF_ID = f"""
select {_ROW} from gateway_audit_events e where e.id = $1 order by e."timestamp" limit $2
"""  # noqa: S608 - constants only

ROWS_OF_REQUEST = f"""
select {_ROW} from gateway_audit_events e
where e.gateway_request_id = $1 order by e."timestamp" limit $2
"""  # noqa: S608 - constants only

ROWS_OF_KEY = f"""
select {_ROW}, $3::text::jsonb::text as expected_metadata
from gateway_audit_events e
where e.id = $1::text::uuid
    and e."timestamp" = timestamptz 'epoch' + $2::bigint * interval '1 microsecond'
"""  # noqa: S608 - constants only

QUARANTINE = """
select reason, message, created_at
from gateway_audit_quarantine
where stream_id = $1 and kafka_offset = $2
"""

# The gateway's request id is the record's key; else it, or the audit id, stands in the value.
QUARANTINE_OF_TEXT = """
select stream_id, kafka_offset
from gateway_audit_quarantine
where key = $1 or position($1 in value) > 0
order by kafka_timestamp
limit $2
"""
