-- Which partition of which topic, in which life: a topic that was deleted and made again counts
-- its offsets from 0, so it is another stream.
create table gateway_audit_streams (
    id smallint generated always as identity primary key,
    topic text not null,
    partition int not null check (partition >= 0),
    epoch int not null check (epoch >= 1),
    reason text,
    "by" text not null default session_user,
    at timestamptz not null default now(),
    unique (topic, partition, epoch),
    -- coalesce: a CHECK that is null holds
    check (epoch = 1 or coalesce(reason ~ '\S', false))
);
comment on table gateway_audit_streams is
    'One row per partition and life (epoch) of a topic; an operator opens epochs after the first.';

-- The foreign key is the fence: an entry continues exactly the head it names, at exactly the
-- offset where that one ended. Whoever lost a partition cannot append, whatever it believes.
create table gateway_audit_ledger (
    stream_id smallint not null references gateway_audit_streams,
    sequence bigint not null check (sequence >= 0),
    kind text not null
        check (kind in ('start', 'records', 'gap', 'replay', 'purge', 'redaction', 'checkpoint')),
    first_offset bigint not null,
    next_offset bigint not null,
    row_count int not null,
    duplicate_count int not null,
    quarantine_count int not null,
    contract smallint not null,
    limits jsonb not null,
    digest bytea not null check (length(digest) = 32),
    previous_hash bytea,
    hash bytea not null check (length(hash) = 32),
    previous_sequence bigint
        generated always as (case when sequence = 0 then null else sequence - 1 end) stored,
    note text,
    created_at timestamptz not null default now(),
    check ((sequence = 0) = (kind = 'start')),
    check ((sequence = 0) = (previous_hash is null)),
    check (case when kind in ('records', 'gap')
        then next_offset > first_offset else next_offset = first_offset end),
    check (kind <> 'records'
        or row_count + duplicate_count + quarantine_count = next_offset - first_offset),
    primary key (stream_id, sequence),
    unique (stream_id, sequence, hash, next_offset),
    foreign key (stream_id, previous_sequence, previous_hash, first_offset)
        references gateway_audit_ledger (stream_id, sequence, hash, next_offset)
);
comment on table gateway_audit_ledger is
    'Append-only hash chain. The last entry''s next_offset of a stream is the durable offset.';
comment on column gateway_audit_ledger.contract is 'The decoder''s version.';
comment on column gateway_audit_ledger.limits is 'Every setting that decided what decoding answers.';
comment on column gateway_audit_ledger.note is 'For people; outside the hash.';
