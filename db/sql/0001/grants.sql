-- Rights by column: ids, who and when (`by`, `at`, `created_at`) are always the database's own.
grant usage on schema public
    to gateway_audit_writer, gateway_audit_operator, gateway_audit_compliance;

grant select on gateway_audit_streams, gateway_audit_ledger, gateway_audit_originals,
    gateway_audit_events, gateway_audit_quarantine, gateway_audit_schema_version
    to gateway_audit_writer, gateway_audit_operator;
grant select on audit_events, audit_decisions, audit_quarantine, audit_ledger
    to gateway_audit_compliance, gateway_audit_operator;

grant insert (topic, partition, epoch) on gateway_audit_streams to gateway_audit_writer;
grant insert (topic, partition, epoch, reason) on gateway_audit_streams to gateway_audit_operator;
grant insert (stream_id, sequence, kind, first_offset, next_offset, row_count, duplicate_count,
    quarantine_count, contract, limits, digest, previous_hash, hash, note)
    on gateway_audit_ledger to gateway_audit_writer, gateway_audit_operator;
grant insert (stream_id, sequence, records) on gateway_audit_originals to gateway_audit_writer;
grant insert (id, event_type, user_id, agent_id, server_name, tool_name, decision, reason,
    "timestamp", gateway_request_id, metadata, stream_id, kafka_offset)
    on gateway_audit_events to gateway_audit_writer;
grant insert (stream_id, kafka_offset, kafka_timestamp, key, headers, value, reason, message)
    on gateway_audit_quarantine to gateway_audit_writer;

revoke all on function gateway_audit_make_partitions from public;
grant execute on function gateway_audit_make_partitions to gateway_audit_writer;

-- Not forced on the owner: it could switch the policies off anyway, and pg_dump as the owner
-- refuses a table whose policies hold for it.
alter table gateway_audit_streams enable row level security;
create policy everybody_reads on gateway_audit_streams for select using (true);
create policy writer_opens_the_first_epoch on gateway_audit_streams for insert
    to gateway_audit_writer with check (epoch = 1);
create policy operator_opens_later_epochs on gateway_audit_streams for insert
    to gateway_audit_operator with check (epoch > 1);

alter table gateway_audit_ledger enable row level security;
create policy everybody_reads on gateway_audit_ledger for select using (true);
create policy writer_appends_what_arrived on gateway_audit_ledger for insert
    to gateway_audit_writer with check (kind in ('start', 'records'));
create policy operator_appends_decisions on gateway_audit_ledger for insert
    to gateway_audit_operator with check (kind not in ('start', 'records'));

-- The staged path copies into a temporary table.
do $$
begin
    execute format('grant temporary on database %I to gateway_audit_writer', current_database());
end
$$;
