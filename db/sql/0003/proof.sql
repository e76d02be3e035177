-- What was proved, and what was signed. Both are notes for dashboards and for retention: whoever
-- owns this database can change them. The proof is `verify` itself, and what is kept outside.
create table gateway_audit_verifications (
    id bigint generated always as identity primary key,
    began_at timestamptz not null,
    ended_at timestamptz not null default now(),
    result text not null check (result in ('good', 'bad')),
    whole boolean not null,
    scope text not null,
    streams int not null,
    entries bigint not null,
    records bigint not null,
    anchors int not null,
    findings bigint not null check ((result = 'good') = (findings = 0)),
    notices bigint not null,
    counts jsonb not null,
    first_bad text,
    version text not null,
    "by" text not null default session_user,
    check (began_at <= ended_at + interval '1 minute')
);
comment on table gateway_audit_verifications is 'One row per finished run of `verify`.';
create index ix_gateway_audit_verifications_ended_at on gateway_audit_verifications (ended_at);

create table gateway_audit_anchors (
    stream_id smallint not null references gateway_audit_streams,
    next_offset bigint not null,
    signed_at timestamptz not null,
    key text not null,
    digest bytea not null check (length(digest) = 32),
    signature bytea not null check (length(signature) = 64),
    "by" text not null default session_user,
    primary key (stream_id, next_offset, signed_at, key)
);
comment on table gateway_audit_anchors is
    'What was signed, and is kept outside: a note of it, not the proof.';

create view audit_verifications as
select id, began_at, ended_at, result, whole, scope, streams, entries, records, anchors,
    findings, notices, counts, first_bad, version, "by"
from gateway_audit_verifications;
comment on view audit_verifications is 'Every finished run of `verify`, and what it found.';
comment on column audit_verifications.began_at is
    'When the oldest part was checked: an earlier run may have been resumed.';
comment on column audit_verifications.whole is
    'Whether everything was checked, and not one partition or one month.';
comment on column audit_verifications.counts is 'Findings and notices by class.';
comment on column audit_verifications.anchors is
    'How many signed anchors it was compared with. 0: the database was believed about its past.';

create view audit_anchors as
select s.topic, s.partition, s.epoch, a.next_offset, a.digest, a.signed_at, a.key, a.signature,
    a."by"
from gateway_audit_anchors a
join gateway_audit_streams s on s.id = a.stream_id;
comment on view audit_anchors is
    'What was signed of each partition: all before next_offset is covered by it.';

grant select on gateway_audit_verifications, gateway_audit_anchors
    to gateway_audit_writer, gateway_audit_operator;
grant select on audit_verifications, audit_anchors
    to gateway_audit_compliance, gateway_audit_operator;
grant insert (began_at, result, whole, scope, streams, entries, records, anchors, findings,
    notices, counts, first_bad, version)
    on gateway_audit_verifications to gateway_audit_writer, gateway_audit_operator;
grant insert (stream_id, next_offset, signed_at, key, digest, signature)
    on gateway_audit_anchors to gateway_audit_writer, gateway_audit_operator;
