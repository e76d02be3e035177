-- Group roles. They belong to the whole cluster, so another database may have made them already,
-- or be making them at this moment: the loser of that race finds them there and goes on.
do $$
declare
    wanted record;
begin
    for wanted in
        values
            ('gateway_audit_writer', 'ingest-service persist: reads, and appends what arrived'),
            ('gateway_audit_operator', 'reads; appends what an operator decides'),
            ('gateway_audit_compliance', 'reads the audit views, nothing else')
    loop
        -- Asked first: CREATE ROLE needs its own right even when the role is there.
        continue when exists (select from pg_roles where rolname = wanted.column1);
        begin
            execute format('create role %I nologin', wanted.column1);
            execute format('comment on role %I is %L', wanted.column1, wanted.column2);
        exception when duplicate_object or unique_violation then
            null;
        end;
    end loop;
end
$$;
