-- What is dropped here is derived, or noted again within a minute: nothing of the audit is lost.
drop view audit_denials_hourly, audit_tools_hourly, audit_a2a_hourly, audit_activity_hourly,
    audit_ingest_delay_hourly;
drop view audit_complete_until, audit_sink_progress, audit_progress, audit_gaps, audit_streams,
    audit_denials;
drop function gateway_audit_note_progress, gateway_audit_note_sinks;
drop table gateway_audit_progress, gateway_audit_sink_progress;
drop index ix_gateway_audit_ledger_decisions, ix_gateway_audit_ledger_created_at;
