comment on view audit_denials_hourly is
    'Denials by user, agent, server, tool and reason. Ask with a condition on hour.';
comment on view audit_tools_hourly is
    'Tools by use: tool calls by server and tool. Ask with a condition on hour.';
comment on view audit_a2a_hourly is
    'The agent-to-agent matrix: messages by agent, server, and the types of both ends.';
comment on view audit_activity_hourly is
    'What each user and agent did: events by type, telemetry left out. Ask with a condition on hour.';
comment on view audit_ingest_delay_hourly is
    'How long events took from the gateway''s decision to the transaction that wrote them.';
comment on column audit_ingest_delay_hourly.hour is 'The hour in which the gateway decided.';
comment on column audit_ingest_delay_hourly.within_10s is
    'How many came within ten seconds, those within one included.';
comment on column audit_denials_hourly.reason is
    'Its first 200 characters. A reason may be of any length, and an entry of an index may not.';
