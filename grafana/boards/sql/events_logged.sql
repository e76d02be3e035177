select coalesce(sum(row_count), 0)::bigint as "Events"
from audit_ledger
where $__timeFilter(created_at)
