-- How far everything is, as the persisters saw it: the only tables in which something is ever
-- overwritten. They prove nothing, so nothing that proves reads them.
create table gateway_audit_progress (
    stream_id smallint primary key references gateway_audit_streams,
    log_end bigint not null,
    asked_at timestamptz not null,
    partitions int not null check (partitions > 0),
    noted_at timestamptz not null default now()
);
comment on table gateway_audit_progress is
    'Per stream: at asked_at its log ended at log_end, and all before that is durable.';
comment on column gateway_audit_progress.asked_at is
    'This database''s clock, read before the broker was asked.';
comment on column gateway_audit_progress.partitions is 'How many the topic had then.';

create table gateway_audit_sink_progress (
    stream_id smallint not null references gateway_audit_streams,
    sink text not null check (length(sink) between 1 and 100),
    next_offset bigint not null,
    noted_at timestamptz not null default now(),
    primary key (stream_id, sink)
);
comment on table gateway_audit_sink_progress is
    'Per stream and sink: what its forwarder''s group had committed in Kafka.';

-- The writer has no right to update; it says what it saw, and these judge it.
create function gateway_audit_note_progress(
    of_topic text, at timestamptz, topic_partitions int, seen_partitions int[], log_ends bigint[])
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if at > clock_timestamp() then
        raise exception 'nobody has asked in the future' using errcode = 'datetime_field_overflow';
    end if;
    insert into public.gateway_audit_progress as known (stream_id, log_end, asked_at, partitions)
    select stream.id, seen.log_end, at, topic_partitions
    from unnest(seen_partitions, log_ends) as seen (partition, log_end)
    cross join lateral (
        select s.id from public.gateway_audit_streams s
        where s.topic = of_topic and s.partition = seen.partition
        order by s.epoch desc limit 1) as stream
    cross join lateral (
        select l.next_offset from public.gateway_audit_ledger l
        where l.stream_id = stream.id
        order by l.sequence desc limit 1) as head
    where head.next_offset >= seen.log_end
    -- In order: two workers that note the same partitions at once must not deadlock.
    order by stream.id
    on conflict (stream_id) do update
        set log_end = excluded.log_end, asked_at = excluded.asked_at,
            partitions = excluded.partitions, noted_at = now()
        where known.asked_at < excluded.asked_at;
end
$$;
comment on function gateway_audit_note_progress is
    'Notes that these logs ended there at that time; one whose ledger is not that far is left out.';

create function gateway_audit_note_sinks(
    of_topic text, sinks text[], seen_partitions int[], next_offsets bigint[])
returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    insert into public.gateway_audit_sink_progress (stream_id, sink, next_offset)
    select stream.id, seen.sink, seen.next_offset
    from unnest(sinks, seen_partitions, next_offsets) as seen (sink, partition, next_offset)
    cross join lateral (
        select s.id from public.gateway_audit_streams s
        where s.topic = of_topic and s.partition = seen.partition
        order by s.epoch desc limit 1) as stream
    order by stream.id, seen.sink
    on conflict (stream_id, sink) do update
        set next_offset = excluded.next_offset, noted_at = now();
$$;
comment on function gateway_audit_note_sinks is
    'Notes what the forwarders'' groups have committed.';

-- Gaps and other decisions are rare among entries: this index holds nothing else.
create index ix_gateway_audit_ledger_decisions on gateway_audit_ledger (stream_id, sequence)
    where kind not in ('start', 'records');
-- How many rows came within a time: entries lie on disk in the order of their making, so a few
-- kilobytes find them. Counting rows instead takes as long as the traffic is large.
create index ix_gateway_audit_ledger_created_at on gateway_audit_ledger
    using brin (created_at) with (autosummarize = on);
