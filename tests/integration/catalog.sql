with ours as (
    select c.oid, c.relname, c.relkind, c.relacl, c.relrowsecurity, c.relforcerowsecurity
    from pg_class c
    where c.relnamespace = 'public'::regnamespace
        and not exists (
            select from pg_depend d
            where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'))
select line from (
    select format('%s %s %s %s %s', relkind, relname, relacl, relrowsecurity, relforcerowsecurity)
        as line
    from ours
    union all
    select format('%s.%s %s %s %s %s %s %s %s', relname, attname, attnum,
        format_type(atttypid, atttypmod), attnotnull, attidentity, attstorage, attacl,
        pg_get_expr(adbin, adrelid))
    from ours
    join pg_attribute on attrelid = ours.oid and attnum > 0
    left join pg_attrdef on adrelid = attrelid and adnum = attnum
    union all
    select format('%s %s %s', relname, conname, pg_get_constraintdef(c.oid))
    from ours join pg_constraint c on conrelid = ours.oid
    union all
    select pg_get_indexdef(indexrelid) from ours join pg_index on indrelid = ours.oid
    union all
    select pg_get_viewdef(oid) from ours where relkind = 'v'
    union all
    select format('%s %s %s %s', relname, polname, pg_get_expr(polqual, polrelid),
        pg_get_expr(polwithcheck, polrelid))
    from ours join pg_policy on polrelid = ours.oid
    union all
    select format('%s %s', relname, pg_get_triggerdef(t.oid))
    from ours join pg_trigger t on tgrelid = ours.oid and not tgisinternal
    union all
    select format('%s %s %s', relname, objsubid, description)
    from ours join pg_description on objoid = ours.oid and classoid = 'pg_class'::regclass
    union all
    select format('%s %s', pg_get_functiondef(oid), proacl)
    from pg_proc where proname like 'gateway_audit%'
) as lines
order by line
