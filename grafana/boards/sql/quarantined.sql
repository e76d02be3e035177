select
    created_at as "When",
    topic as "Topic",
    partition as "Partition",
    kafka_offset as "Offset",
    reason as "Reason",
    message as "Why",
    octet_length(value) as "Bytes"
from audit_quarantine
where $__timeFilter(created_at)
order by created_at desc
limit 20
