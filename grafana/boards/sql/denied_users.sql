select
    coalesce(user_id, 'agent ' || agent_id, 'nobody named') as "User",
    count(*) as "Denials",
    string_agg(distinct server_name, ', ') as "Servers",
    string_agg(distinct tool_name, ', ') as "Tools",
    max("timestamp") as "Last denied"
from audit_decisions
where decision = 'deny' and $__timeFilter("timestamp")
group by 1
order by 2 desc, 5 desc
limit 10
