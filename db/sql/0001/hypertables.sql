-- TimescaleDB under either licence: hypertables. No default index on time: ours is named.
do $$
declare
    home name := (select nspname from pg_extension
                  join pg_namespace n on n.oid = extnamespace where extname = 'timescaledb');
begin
    -- The extension may live in any schema.
    execute format('set local search_path to public, %I', home);
    perform create_hypertable('gateway_audit_events',
        by_range('timestamp', interval '1 day'), create_default_indexes => false);
    perform create_hypertable('gateway_audit_originals',
        by_range('created_at', interval '7 days'), create_default_indexes => false);
end
$$;

create function gateway_audit_make_partitions(days date[]) returns integer
language sql security definer set search_path = pg_catalog, pg_temp
as 'select 0';
comment on function gateway_audit_make_partitions is
    'Nothing to do: TimescaleDB makes chunks by itself. There so that callers need not care.';
