-- TimescaleDB Community: the same hourly views over continuous aggregates. Real-time, so the hours
-- that are not materialised yet are counted when asked for.
-- refresh from the beginning: what comes late is counted again, and what is purged goes here, too.
create materialized view gateway_audit_denials_hourly
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select time_bucket(interval '1 hour', "timestamp") as hour,
    user_id, agent_id, server_name, tool_name, left(reason, 200) as reason, count(*) as denials
from gateway_audit_events
where decision = 'deny'
group by 1, 2, 3, 4, 5, 6
with no data;
create view audit_denials_hourly as
select hour, user_id, agent_id, server_name, tool_name, reason, denials
from gateway_audit_denials_hourly;

create materialized view gateway_audit_tools_hourly
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select time_bucket(interval '1 hour', "timestamp") as hour, server_name, tool_name,
    count(*) as events, count(*) filter (where decision = 'allow') as allowed,
    count(*) filter (where decision = 'deny') as denied
from gateway_audit_events
where event_type = 'tool_invoke'
group by 1, 2, 3
with no data;
create view audit_tools_hourly as
select hour, server_name, tool_name, events, allowed, denied from gateway_audit_tools_hourly;

create materialized view gateway_audit_a2a_hourly
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select time_bucket(interval '1 hour', "timestamp") as hour, agent_id, server_name,
    left(metadata ->> 'source_type', 100) as source_type,
    left(metadata ->> 'target_type', 100) as target_type,
    count(*) as events, count(*) filter (where decision = 'allow') as allowed,
    count(*) filter (where decision = 'deny') as denied
from gateway_audit_events
where event_type = 'a2a_communication'
group by 1, 2, 3, 4, 5
with no data;
create view audit_a2a_hourly as
select hour, agent_id, server_name, source_type, target_type, events, allowed, denied
from gateway_audit_a2a_hourly;

create materialized view gateway_audit_activity_hourly
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select time_bucket(interval '1 hour', "timestamp") as hour, user_id, agent_id, event_type,
    count(*) as events, count(*) filter (where decision = 'allow') as allowed,
    count(*) filter (where decision = 'deny') as denied
from gateway_audit_events
where event_type <> 'telemetry'
group by 1, 2, 3, 4
with no data;
create view audit_activity_hourly as
select hour, user_id, agent_id, event_type, events, allowed, denied
from gateway_audit_activity_hourly;

create materialized view gateway_audit_ingest_delay_hourly
with (timescaledb.continuous, timescaledb.materialized_only = false) as
select time_bucket(interval '1 hour', "timestamp") as hour, stream_id, count(*) as events,
    extract(epoch from avg(created_at - "timestamp"))::float8 as mean_seconds,
    extract(epoch from max(created_at - "timestamp"))::float8 as max_seconds,
    count(*) filter (where created_at - "timestamp" <= interval '1 second') as within_1s,
    count(*) filter (where created_at - "timestamp" <= interval '10 seconds') as within_10s,
    count(*) filter (where created_at - "timestamp" <= interval '1 minute') as within_1m
from gateway_audit_events
group by 1, 2
with no data;
create view audit_ingest_delay_hourly as
select e.hour, s.topic, s.partition, s.epoch, e.events, e.mean_seconds, e.max_seconds,
    e.within_1s, e.within_10s, e.within_1m
from gateway_audit_ingest_delay_hourly e
left join gateway_audit_streams s on s.id = e.stream_id;

do $$
declare
    home name := (select nspname from pg_extension
                  join pg_namespace n on n.oid = extnamespace where extname = 'timescaledb');
    aggregate text;
begin
    execute format('set local search_path to public, %I', home);
    foreach aggregate in array array['denials', 'tools', 'a2a', 'activity', 'ingest_delay'] loop
        perform add_continuous_aggregate_policy(
            format('gateway_audit_%s_hourly', aggregate)::regclass, start_offset => null,
            end_offset => interval '1 hour', schedule_interval => interval '30 minutes');
    end loop;
end
$$;
