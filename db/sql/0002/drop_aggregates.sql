do $$
declare
    aggregate record;
begin
    for aggregate in
        select view_name from timescaledb_information.continuous_aggregates
        where hypertable_name = 'gateway_audit_events' and view_schema = 'public'
    loop
        execute format('drop materialized view public.%I', aggregate.view_name);
    end loop;
end
$$;
