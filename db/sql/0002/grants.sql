grant select on audit_denials, audit_streams, audit_gaps, audit_progress, audit_complete_until,
    audit_sink_progress, audit_denials_hourly, audit_tools_hourly, audit_a2a_hourly,
    audit_activity_hourly, audit_ingest_delay_hourly
    to gateway_audit_compliance, gateway_audit_operator;
grant select on gateway_audit_progress, gateway_audit_sink_progress
    to gateway_audit_writer, gateway_audit_operator;

revoke all on function gateway_audit_note_progress, gateway_audit_note_sinks from public;
grant execute on function gateway_audit_note_progress, gateway_audit_note_sinks
    to gateway_audit_writer;
