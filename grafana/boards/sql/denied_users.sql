select
    coalesce(user_id, 'agent ' || agent_id, 'nobody named') as "User",
    count(*) as "Denials",
    mode() within group (order by concat_ws(' / ', server_name, tool_name)) as "Mostly at",
    left(mode() within group (order by reason), 100) as "Mostly because",
    max("timestamp") as "Last denied"
from audit_decisions
where decision = 'deny' and $__timeFilter("timestamp")
group by 1
order by 2 desc, 5 desc
limit 10
