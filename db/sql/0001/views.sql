-- What compliance reads. The views run as their owner, so no right on a table is needed.
-- LEFT JOIN: a row that belongs to no stream was put there by somebody, and must be seen.
create view audit_events as
select e.id, e.event_type, e.user_id, e.agent_id, e.server_name, e.tool_name, e.decision,
    e.reason, e."timestamp", e.gateway_request_id, e.metadata, e.created_at,
    s.topic, s.partition, s.epoch, e.kafka_offset
from gateway_audit_events e
left join gateway_audit_streams s on s.id = e.stream_id;
comment on view audit_events is 'Every event, with the place in Kafka that it came from.';

create view audit_decisions as
select * from audit_events where event_type <> 'telemetry';
comment on view audit_decisions is 'Events that decided something: audit_events less telemetry.';

create view audit_quarantine as
select s.topic, s.partition, s.epoch, q.kafka_offset, q.kafka_timestamp, q.key, q.headers,
    q.value, q.reason, q.message, q.created_at
from gateway_audit_quarantine q
left join gateway_audit_streams s on s.id = q.stream_id;
comment on view audit_quarantine is 'Records that could be no row, as they arrived, and why.';

create view audit_ledger as
select s.topic, s.partition, s.epoch, l.sequence, l.kind, l.first_offset, l.next_offset,
    l.row_count, l.duplicate_count, l.quarantine_count, l.contract, l.limits, l.digest,
    l.previous_hash, l.hash, l.note, l.created_at
from gateway_audit_ledger l
left join gateway_audit_streams s on s.id = l.stream_id;
comment on view audit_ledger is 'The hash chain: what was written, offset by offset.';
