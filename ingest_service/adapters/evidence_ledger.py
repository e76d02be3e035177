"""The SQL by which `verify` reads the chain: streams, entries, and what is kept of each."""

STREAMS = """
select id, topic, partition, epoch
from gateway_audit_streams
order by topic, partition, epoch
"""

# In runs of about so many records, each to be checked by itself. What a forger wrote into an
# entry may be any number: nothing here overflows by it.
CUTS = """
with entries as (
    select sequence, first_offset, next_offset, hash,
        case when kind = 'records' then greatest(row_count, 0)::bigint
            + greatest(duplicate_count, 0) + greatest(quarantine_count, 0) else 0 end as records
    from gateway_audit_ledger
    where stream_id = $1 and sequence between $2 and $3
),
placed as (
    select *, (sum(records) over (order by sequence) - records) / $4::bigint as cut
    from entries
)
select min(sequence), max(sequence), min(first_offset), max(next_offset), sum(records)::bigint,
    (array_agg(hash order by sequence desc))[1]
from placed
group by floor(cut)
order by 1
"""

ENTRIES = """
select stream_id, sequence, kind, first_offset, next_offset, row_count, duplicate_count,
    quarantine_count, contract, limits::text, digest, previous_hash, hash
from gateway_audit_ledger
where stream_id = $1 and sequence between $2 and $3
order by sequence
"""

ENTRIES_BEFORE = """
select stream_id, sequence, kind, first_offset, next_offset, row_count, duplicate_count,
    quarantine_count, contract, limits::text, digest, previous_hash, hash
from gateway_audit_ledger
where stream_id = $1 and sequence < $2
order by sequence desc
limit 2
"""

# Which entries hold offsets of these ranges: first and last sequence of each.
ENTRIES_OF_OFFSETS = """
select min(entry.sequence), max(entry.sequence)
from unnest($2::bigint[], $3::bigint[]) with ordinality as given (first_offset, end_offset, index)
join gateway_audit_ledger as entry
    on entry.stream_id = $1
    and entry.next_offset > given.first_offset and entry.first_offset < given.end_offset
group by given.index
order by 1, 2
"""

LAST_SEQUENCE = "select max(sequence) from gateway_audit_ledger where stream_id = $1"

# The records entry at or before a sequence, to see when its records reached Kafka.
NEWEST_RECORDS = """
select entry.sequence, kept.records
from gateway_audit_ledger as entry
join gateway_audit_originals as kept
    on kept.stream_id = entry.stream_id and kept.sequence = entry.sequence
where entry.stream_id = $1 and entry.sequence <= $2 and entry.kind = 'records'
    and octet_length(kept.records) <= $3
order by entry.sequence desc
limit 1
"""

# How large each is, first: whoever can write there could keep a gigabyte under one sequence.
ORIGINAL_SIZES = """
select sequence, created_at, octet_length(records)
from gateway_audit_originals
where stream_id = $1 and sequence between $2 and $3
order by sequence, created_at
"""

ORIGINALS = """
select sequence, records
from gateway_audit_originals
where stream_id = $1 and (sequence, created_at) >= ($2, $3) and (sequence, created_at) <= ($4, $5)
    and created_at between $6 and $7 -- other days' chunks are left out
    and octet_length(records) <= $8
order by sequence, created_at
limit $9
"""
