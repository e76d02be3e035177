select coalesce(sum(records), 0)::bigint as "Records"
from audit_gaps
where $__timeFilter(created_at)
