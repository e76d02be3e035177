-- PostgreSQL alone: native range partitions, events by day, originals by month (UTC).
-- A table cannot become a partitioned one: each is made again from its own columns.
alter table gateway_audit_events rename to columns_of_events;
create table gateway_audit_events (like columns_of_events including all)
    partition by range ("timestamp");
comment on table gateway_audit_events is 'One row per audit event.';
drop table columns_of_events;

alter table gateway_audit_originals rename to columns_of_originals;
create table gateway_audit_originals (like columns_of_originals including all)
    partition by range (created_at);
comment on table gateway_audit_originals is
    'The records of a ledger entry as they arrived, each with its verdict: MessagePack, then gzip.';
drop table columns_of_originals;

-- Made and then attached, never PARTITION OF: that would lock the whole table, and a COPY whose
-- worker is frozen would hold up everybody behind it.
create function gateway_audit_make_partitions(days date[]) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
declare
    wanted record;
    made integer := 0;
begin
    if cardinality(days) > 400 then
        raise exception 'at most 400 days a call' using errcode = 'program_limit_exceeded';
    elsif exists (select from unnest(days) as day
                  where (abs(day - current_date) <= 7305) is not true) then
        -- Twice the greatest age that the settings allow an event.
        raise exception 'a day must be within twenty years of today'
            using errcode = 'datetime_field_overflow';
    end if;
    -- One maker at a time, until its transaction ends.
    perform pg_advisory_xact_lock(hashtextextended('gateway_audit_make_partitions', 0));
    for wanted in
        select 'gateway_audit_events' as parent,
            'gateway_audit_events_p' || to_char(day, 'YYYYMMDD') as name,
            day as lower, day + 1 as upper
        from unnest(days) as day
        union
        -- Originals go by when they are written, so these follow the clock, not the events.
        select 'gateway_audit_originals',
            'gateway_audit_originals_p' || to_char(month, 'YYYYMM'),
            month::date, (month + interval '1 month')::date
        from generate_series(date_trunc('month', now()), now() + interval '14 days',
                             interval '1 month') as month
        order by name
    loop
        continue when to_regclass('public.' || wanted.name) is not null;
        execute format('create table public.%I (like public.%I including defaults '
            'including constraints including storage)', wanted.name, wanted.parent);
        execute format('alter table public.%I attach partition public.%I for values '
            'from (%L) to (%L)', wanted.parent, wanted.name, wanted.lower, wanted.upper);
        made := made + 1;
    end loop;
    return made;
end
$$;
comment on function gateway_audit_make_partitions is
    'Makes what is missing of these days'' event partitions and of the originals'' next ones.';
