select count(*) as "Events"
from audit_events
where $__timeFilter("timestamp")
