-- What arrived: as rows, as it was, and what could be no row. No foreign key leads to or from the
-- two tables that are split by time: two connections that open the same new chunk at midnight
-- would deadlock over it, and dropping or compressing chunks would fail.
create table gateway_audit_events (
    id uuid not null,
    event_type text not null,
    user_id text,
    agent_id text,
    server_name text,
    tool_name text,
    decision text,
    reason text not null,
    "timestamp" timestamptz not null,
    gateway_request_id text not null,
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    stream_id smallint not null,
    kafka_offset bigint not null,
    -- coalesce: a CHECK that is null holds
    constraint gateway_audit_events_decision_check
        check (coalesce(decision in ('allow', 'deny'), event_type = 'telemetry'))
);
comment on table gateway_audit_events is 'One row per audit event.';
comment on column gateway_audit_events.decision is 'allow or deny; null only on telemetry.';
comment on column gateway_audit_events."timestamp" is 'When the gateway decided.';
comment on column gateway_audit_events.created_at is 'When the row was written, by this clock.';

create table gateway_audit_originals (
    stream_id smallint not null,
    sequence bigint not null,
    records bytea not null,
    created_at timestamptz not null default now()
);
-- The bytes are gzip: do not try to compress them again.
alter table gateway_audit_originals alter column records set storage external;
comment on table gateway_audit_originals is
    'The records of a ledger entry as they arrived, each with its verdict: MessagePack, then gzip.';

create table gateway_audit_quarantine (
    stream_id smallint not null references gateway_audit_streams,
    kafka_offset bigint not null,
    kafka_timestamp timestamptz not null,
    key bytea,
    headers bytea not null,
    value bytea,
    reason text not null,
    message text not null,
    created_at timestamptz not null default now(),
    primary key (stream_id, kafka_offset)
);
comment on table gateway_audit_quarantine is 'Records that could be no row. Never deleted.';
comment on column gateway_audit_quarantine.headers is
    'MessagePack, as in the originals: jsonb cannot hold a NUL in a header''s name.';
comment on column gateway_audit_quarantine.value is 'Null: a tombstone.';
comment on column gateway_audit_quarantine.reason is 'The rejection''s code.';
