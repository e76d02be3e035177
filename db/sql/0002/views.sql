-- What compliance reads, beside the views of 0001. Names and columns are a contract.
create view audit_denials as
select * from audit_events where decision = 'deny';
comment on view audit_denials is 'Every event that was denied. Ask by "timestamp", the gateway''s.';

create view audit_streams as
select s.topic, s.partition, s.epoch, s.reason, s."by", s.at as opened_at,
    head.next_offset, head.sequence + 1 as entries, head.created_at as last_entry_at
from gateway_audit_streams s
left join lateral (
    select l.sequence, l.next_offset, l.created_at from gateway_audit_ledger l
    where l.stream_id = s.id
    order by l.sequence desc limit 1) as head on true;
comment on view audit_streams is
    'Each partition in each life (epoch) of its topic: who opened it, why, and how far it is.';
comment on column audit_streams.next_offset is 'All before it is durable; null: not begun.';

create view audit_gaps as
select s.topic, s.partition, s.epoch, l.sequence, l.first_offset, l.next_offset,
    l.next_offset - l.first_offset as records, l.note, l.created_at
from gateway_audit_ledger l
left join gateway_audit_streams s on s.id = l.stream_id
where l.kind = 'gap';
comment on view audit_gaps is
    'Records that an operator gave up as lost before they were persisted; the note says who and why.';

create view audit_progress as
select s.topic, s.partition, s.epoch, s.next_offset, p.log_end, p.asked_at,
    -- The broker may show a record later than it stamped it: until replicas have it (30 s at most,
    -- replica.lag.time.max.ms), while a cut-off leader still answers (9 s), and clocks differ.
    p.asked_at - interval '1 minute' as complete_until, p.partitions as topic_partitions
from (
    select distinct on (topic, partition) * from audit_streams
    order by topic, partition, epoch desc) as s
join gateway_audit_streams key using (topic, partition, epoch)
left join gateway_audit_progress p on p.stream_id = key.id;
comment on view audit_progress is
    'Each partition of the present: how far it is durable, and until when it is complete.';
comment on column audit_progress.log_end is
    'Where the log ended at asked_at, as the persister was told; all before it is durable.';
comment on column audit_progress.complete_until is
    'Every record that Kafka acknowledged before this time is durable. Null: not known.';

create view audit_complete_until as
select topic,
    -- A partition that nobody has looked at yet may hold something older.
    case when count(complete_until) = greatest(count(*), max(topic_partitions))
        then min(complete_until) end as complete_until,
    count(complete_until) as known_partitions,
    greatest(count(*), max(topic_partitions)) as partitions,
    case when count(*) >= max(topic_partitions) is not false
        then (array_agg(partition order by complete_until nulls first, partition))[1]
        end as last_partition
from audit_progress
group by topic;
comment on view audit_complete_until is
    'The Kafka time before which every record of every partition of a topic is persisted: as a row, '
    'a duplicate or in quarantine, or given up in audit_gaps.';
comment on column audit_complete_until.complete_until is
    'Null: not known, since a partition has not been looked at by a persister.';
comment on column audit_complete_until.last_partition is 
    'The partition that holds the time back; null: one that has never been opened.';

create view audit_sink_progress as
select k.sink, s.topic, s.partition, s.epoch, k.next_offset as passed_before,
    s.next_offset, greatest(s.next_offset - k.next_offset, 0) as waiting, k.noted_at
from gateway_audit_sink_progress k
join gateway_audit_streams key on key.id = k.stream_id
join audit_streams s using (topic, partition, epoch);
comment on view audit_sink_progress is
    'How far each sink is, by its forwarder''s offsets in Kafka, as a persister saw them.';
comment on column audit_sink_progress.passed_before is
    'All before this offset is delivered, dead-lettered, or left out by the settings.';
comment on column audit_sink_progress.waiting is
    'Records that are durable here and have not passed there.';
