"""The SQL that asks whole tables what stands there beside what the ledger accounts for.

With a time ($2, $3) only what says that it is of that time, or stands at one of the offsets that
were walked; without, everything.
"""

_WANTED = """
    ($1::smallint[] is null or found.stream_id = any ($1))
    and ($2::timestamptz is null
        or (found."timestamp" >= $2 and found."timestamp" < $3)
        or exists (
            select from unnest($4::smallint[], $5::bigint[], $6::bigint[])
                as walked (stream_id, first_offset, next_offset)
            where walked.stream_id = found.stream_id
                and found.kafka_offset >= walked.first_offset
                and found.kafka_offset < walked.next_offset))
"""

# A block is 2^$7 offsets of a stream. Rows in ranges that cannot be judged are left out.
ROWS_PER_BLOCK = f"""
select stream_id, kafka_offset >> $7::int as block, count(*)
from gateway_audit_events as found
where {_WANTED}
    and not exists (
        select from unnest($8::smallint[], $9::bigint[], $10::bigint[])
            as blind (stream_id, first_offset, next_offset)
        where blind.stream_id = found.stream_id and found.kafka_offset >= blind.first_offset
            and found.kafka_offset < blind.next_offset)
group by 1, 2
"""  # noqa: S608 - constants only

PLACES_IN_BLOCKS = f"""
select stream_id, kafka_offset, count(*)
from gateway_audit_events as found
where {_WANTED}
    and (stream_id, kafka_offset >> $7::int) in (
        select stream_id, block
        from unnest($8::smallint[], $9::bigint[]) as odd (stream_id, block))
group by 1, 2
order by 1, 2
"""  # noqa: S608 - constants only

BLOCKS_IN_TIME = """
select distinct stream_id, kafka_offset >> $4::int as block
from gateway_audit_events
where ($1::smallint[] is null or stream_id = any ($1))
    and "timestamp" >= $2 and "timestamp" < $3
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
    where ($1::smallint[] is null or stream_id = any ($1))
        and ($2::timestamptz is null or ("timestamp" >= $2 and "timestamp" < $3))
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
    limit $4
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

# Quarantine outside every range that the ledger's records cover.
QUARANTINE_OUTSIDE = """
select stream_id, kafka_offset, count(*) over () as total
from gateway_audit_quarantine as found
where ($1::smallint[] is null or stream_id = any ($1))
    and ($2::timestamptz is null or (kafka_timestamp >= $2 and kafka_timestamp < $3))
    and not exists (
        select from unnest($4::smallint[], $5::bigint[], $6::bigint[])
            as covered (stream_id, first_offset, next_offset)
        where covered.stream_id = found.stream_id
            and found.kafka_offset >= covered.first_offset
            and found.kafka_offset < covered.next_offset)
order by stream_id, kafka_offset
limit $7
"""
