-- A few days to begin with; the worker has others made when it meets them.
select gateway_audit_make_partitions(
    array(select current_date + n from generate_series(-2, 7) as n));
