-- Counts by the hour, counted when they are asked for. LATERAL: a condition on `hour` reaches the
-- index on time and leaves other days' partitions out, which grouping by date_trunc would not.
-- No gateway of this contract is older than 2020.
create view audit_denials_hourly as
select h.hour, e.user_id, e.agent_id, e.server_name, e.tool_name, e.reason, e.denials
from generate_series(timestamptz '2020-01-01 00:00:00Z', now() + interval '2 days',
    interval '1 hour') as h (hour)
cross join lateral (
    select user_id, agent_id, server_name, tool_name, left(reason, 200) as reason,
        count(*) as denials
    from gateway_audit_events
    where decision = 'deny'
        and "timestamp" >= h.hour and "timestamp" < h.hour + interval '1 hour'
    group by 1, 2, 3, 4, 5) as e;

create view audit_tools_hourly as
select h.hour, e.server_name, e.tool_name, e.events, e.allowed, e.denied
from generate_series(timestamptz '2020-01-01 00:00:00Z', now() + interval '2 days',
    interval '1 hour') as h (hour)
cross join lateral (
    select server_name, tool_name, count(*) as events,
        count(*) filter (where decision = 'allow') as allowed,
        count(*) filter (where decision = 'deny') as denied
    from gateway_audit_events
    where event_type = 'tool_invoke'
        and "timestamp" >= h.hour and "timestamp" < h.hour + interval '1 hour'
    group by 1, 2) as e;

create view audit_a2a_hourly as
select h.hour, e.agent_id, e.server_name, e.source_type, e.target_type,
    e.events, e.allowed, e.denied
from generate_series(timestamptz '2020-01-01 00:00:00Z', now() + interval '2 days',
    interval '1 hour') as h (hour)
cross join lateral (
    select agent_id, server_name,
        left(metadata ->> 'source_type', 100) as source_type,
        left(metadata ->> 'target_type', 100) as target_type, count(*) as events,
        count(*) filter (where decision = 'allow') as allowed,
        count(*) filter (where decision = 'deny') as denied
    from gateway_audit_events
    where event_type = 'a2a_communication'
        and "timestamp" >= h.hour and "timestamp" < h.hour + interval '1 hour'
    group by 1, 2, 3, 4) as e;

create view audit_activity_hourly as
select h.hour, e.user_id, e.agent_id, e.event_type, e.events, e.allowed, e.denied
from generate_series(timestamptz '2020-01-01 00:00:00Z', now() + interval '2 days',
    interval '1 hour') as h (hour)
cross join lateral (
    select user_id, agent_id, event_type, count(*) as events,
        count(*) filter (where decision = 'allow') as allowed,
        count(*) filter (where decision = 'deny') as denied
    from gateway_audit_events
    where event_type <> 'telemetry'
        and "timestamp" >= h.hour and "timestamp" < h.hour + interval '1 hour'
    group by 1, 2, 3) as e;

create view audit_ingest_delay_hourly as
select h.hour, s.topic, s.partition, s.epoch, e.events, e.mean_seconds, e.max_seconds,
    e.within_1s, e.within_10s, e.within_1m
from generate_series(timestamptz '2020-01-01 00:00:00Z', now() + interval '2 days',
    interval '1 hour') as h (hour)
cross join lateral (
    select stream_id, count(*) as events,
        extract(epoch from avg(created_at - "timestamp"))::float8 as mean_seconds,
        extract(epoch from max(created_at - "timestamp"))::float8 as max_seconds,
        count(*) filter (where created_at - "timestamp" <= interval '1 second') as within_1s,
        count(*) filter (where created_at - "timestamp" <= interval '10 seconds') as within_10s,
        count(*) filter (where created_at - "timestamp" <= interval '1 minute') as within_1m
    from gateway_audit_events
    where "timestamp" >= h.hour and "timestamp" < h.hour + interval '1 hour'
    group by 1) as e
left join gateway_audit_streams s on s.id = e.stream_id;
