"""The SQL that asks how large the audit is, and how many use the gateway."""

TABLES = (
    "gateway_audit_events",
    "gateway_audit_originals",
    "gateway_audit_quarantine",
    "gateway_audit_ledger",
    "gateway_audit_streams",
)

HAS_TIMESCALE = "select to_regclass('_timescaledb_catalog.hypertable') is not null"

# What is compressed lives in a hypertable of its own.
COMPRESSED = """
select format('%I.%I', compressed.schema_name, compressed.table_name) as name
from _timescaledb_catalog.hypertable as plain
join _timescaledb_catalog.hypertable as compressed on compressed.id = plain.compressed_hypertable_id
where plain.table_name = any ($1::text[])
"""

# Chunks and partitions inherit from their table. One that is dropped meanwhile has a null size.
RELATIONS = """
with recursive relation (oid, is_part) as (
    select to_regclass(name)::oid, false from unnest($1::text[]) as name
    union all
    select child.inhrelid, true
    from pg_inherits as child join relation on relation.oid = child.inhparent
)
select coalesce(sum(pg_total_relation_size(oid)), 0)::bigint as size_bytes,
    coalesce(array_agg(oid::bigint) filter (where is_part), '{}') as parts
from relation
"""

# From each stream's last known entry on: the whole ledger is not read for it.
PURGES = """
select stream.id, entry.sequence as head, (
    select count(*) from gateway_audit_ledger as later
    where later.stream_id = stream.id and later.kind = 'purge'
        and later.sequence > coalesce(known.sequence, entry.sequence)) as purges
from gateway_audit_streams as stream
cross join lateral (
    select sequence from gateway_audit_ledger
    where stream_id = stream.id order by sequence desc limit 1
) as entry
left join unnest($1::int[], $2::bigint[]) as known (id, sequence) on known.id = stream.id
"""

# The newest of the hour, so many at most: what it costs has a bound, whatever the traffic.
UNIQUE_USERS = """
select count(*) from (
    select user_id from (
        select user_id from gateway_audit_events
        where "timestamp" > now() - interval '1 hour'
        order by "timestamp" desc limit 500000
    ) as newest
    where user_id is not null
    group by user_id
) as users
"""

PROOF = """
select
    extract(epoch from max(ended_at) filter (where result = 'good'))::float8,
    extract(epoch from max(ended_at) filter (where result = 'bad'))::float8,
    (array_agg(findings order by ended_at desc))[1],
    (select extract(epoch from max(signed_at))::float8 from gateway_audit_anchors)
from gateway_audit_verifications
where whole
"""
