-- The roles stay: they belong to the cluster, and another database may use them.
drop view audit_decisions, audit_events, audit_quarantine, audit_ledger;
drop function gateway_audit_make_partitions;
drop table gateway_audit_events;
drop table gateway_audit_originals;
drop table gateway_audit_quarantine;
drop table gateway_audit_ledger;
drop table gateway_audit_streams;
revoke all on gateway_audit_schema_version from gateway_audit_writer, gateway_audit_operator;
do $$
begin
    execute format('revoke temporary on database %I from gateway_audit_writer', current_database());
end
$$;
