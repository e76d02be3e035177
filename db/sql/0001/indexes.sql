-- What each holds, and what it costs a row, was measured: docs/database.md.
alter table gateway_audit_events add primary key (id, "timestamp");
-- The ledger makes (stream_id, sequence) unique; a key on a split table must hold the time too.
alter table gateway_audit_originals add primary key (stream_id, sequence, created_at);

create index ix_gateway_audit_timestamp on gateway_audit_events ("timestamp");
create index ix_gateway_audit_request_id on gateway_audit_events (gateway_request_id);
create index ix_gateway_audit_user_id on gateway_audit_events (user_id)
    where user_id is not null;
create index ix_gateway_audit_server_name on gateway_audit_events (server_name)
    where server_name is not null;
create index ix_gateway_audit_tool_name on gateway_audit_events (tool_name)
    where tool_name is not null;
-- The common value is no use in an index; the rare ones are what is asked for, by time.
create index ix_gateway_audit_decision on gateway_audit_events (decision, "timestamp")
    where decision = 'deny';
create index ix_gateway_audit_event_type on gateway_audit_events (event_type, "timestamp")
    where event_type <> 'tool_invoke';
