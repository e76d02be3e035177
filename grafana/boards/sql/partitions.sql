select
    p.topic as "Topic",
    p.partition as "Partition",
    p.epoch as "Epoch",
    p.next_offset as "Durable before offset",
    s.last_entry_at as "Last written",
    p.complete_until as "Complete until"
from audit_progress p
join audit_streams s using (topic, partition, epoch)
order by 1, 2
