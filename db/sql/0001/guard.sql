-- An audit store is not dropped by a slip. The lock keeps a writer from appending in between.
lock table gateway_audit_ledger in access exclusive mode;
do $$
begin
    if exists (select from gateway_audit_ledger) then
        raise exception 'the ledger is not empty: migrating down would destroy the audit'
            using errcode = 'object_not_in_prerequisite_state',
                hint = 'Take a backup, then say --force.';
    end if;
end
$$;
