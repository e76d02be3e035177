"""What our topics must be like, and how an existing one differs: pure."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ingest_service.adapters.kafka_admin import NewTopic, TopicState
from ingest_service.preflight.finding import Finding, Verdict, right, warning, wrong

PARTITIONS = 6
REPLICATION = 3
_MIB = 1024 * 1024
_DAY_MS = 86_400_000
_UNBOUNDED = -1
# An event may have 1 MiB; its key, headers and framing come on top.
EVENT_MESSAGE_BYTES = _MIB + 64 * 1024


def events_topic(
    name: str,
    brokers: int,
    *,
    partitions: int = PARTITIONS,
    replication: int | None = None,
    uncompressed: bool = False,
) -> NewTopic:
    """Return the topic of audit events as it should be on a cluster of so many brokers."""
    settings = _settings_of(EVENT_MESSAGE_BYTES, days=7)
    if uncompressed:
        # The broker then unpacks each batch: no small record can become 200 MB in a worker.
        settings["compression.type"] = "uncompressed"
    return _topic(name, partitions, replication or min(REPLICATION, brokers), settings)


def dead_letter_topic(
    name: str, brokers: int, *, partitions: int = PARTITIONS, replication: int | None = None
) -> NewTopic:
    """Return the dead-letter topic: room for an event and why it was refused, kept longer."""
    settings = _settings_of(2 * _MIB, days=90)
    return _topic(name, partitions, replication or min(REPLICATION, brokers), settings)


def _settings_of(message_bytes: int, days: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "max.message.bytes": str(message_bytes),
        "message.timestamp.type": "LogAppendTime",
        "retention.bytes": str(_UNBOUNDED),
        "retention.ms": str(days * _DAY_MS),
        "unclean.leader.election.enable": "false",
    }


def _topic(name: str, partitions: int, copies: int, settings: Mapping[str, str]) -> NewTopic:
    insync = {"min.insync.replicas": str(min(2, copies))}
    return NewTopic(name, partitions, copies, {**settings, **insync})


class _Exactly(NamedTuple):
    """A setting that has one right value, and what goes wrong with another."""

    harm: str

    def judge(self, value: str, wanted: str) -> tuple[Verdict, str]:
        return (Verdict.RIGHT, "") if value == wanted else (Verdict.WRONG, self.harm)


class _AtLeast(NamedTuple):
    """A setting with a least value; -1 is without bound."""

    harm: str
    below: Verdict = Verdict.WRONG

    def judge(self, value: str, wanted: str) -> tuple[Verdict, str]:
        number, least = int(value), int(wanted)
        enough = number == _UNBOUNDED or (least != _UNBOUNDED and number >= least)
        return (Verdict.RIGHT, "") if enough else (self.below, self.harm)


_RULES: Mapping[str, _Exactly | _AtLeast] = {
    "cleanup.policy": _Exactly("compaction deletes events"),
    "compression.type": _Exactly("a small compressed record can fill a worker's memory"),
    "max.message.bytes": _AtLeast("an event of the greatest size is refused"),
    "message.timestamp.type": _Exactly(
        "time is then the publisher's claim, and the persister stops the partition"
    ),
    "min.insync.replicas": _AtLeast("one broker's disk can lose acknowledged events"),
    "retention.bytes": _AtLeast("a burst deletes events early", below=Verdict.WARNING),
    "retention.ms": _AtLeast("an outage can outlast the topic", below=Verdict.WARNING),
    "unclean.leader.election.enable": _Exactly("a stale broker can drop acknowledged events"),
}


def compare(wanted: NewTopic, found: TopicState | None) -> list[Finding]:
    """Return one finding for each thing that differs, or a single one that all is as wanted."""
    subject = f"topic {wanted.name}"
    if found is None:
        return [wrong(subject, "does not exist", "run `ingest-service topics create`")]
    differences = [*_placement(subject, wanted, found), *_differing(subject, wanted, found)]
    return differences or [
        right(
            subject,
            f"{found.partitions} partitions, replication {found.replication}, settings as needed",
        )
    ]


def _placement(subject: str, wanted: NewTopic, found: TopicState) -> Iterator[Finding]:
    if found.leaderless:
        numbers = ", ".join(map(str, found.leaderless))
        yield wrong(subject, f"no leader for partition {numbers}", "bring the brokers back")
    if found.partitions < wanted.partitions:
        yield warning(
            subject,
            f"{found.partitions} partitions instead of {wanted.partitions}",
            "no more workers than partitions can share the work; partitions can be added",
        )
    if found.replication < wanted.replication:
        yield warning(
            subject,
            f"replication {found.replication} instead of {wanted.replication}",
            "reassign its partitions to more brokers",
        )
    if found.replication < int(found.settings.get("min.insync.replicas", "1")):
        yield wrong(
            subject,
            f"min.insync.replicas is above its replication of {found.replication}",
            "nothing can be published: lower the one or raise the other",
        )


def _differing(subject: str, wanted: NewTopic, found: TopicState) -> Iterator[Finding]:
    for name, value in wanted.settings.items():
        actual = found.settings.get(name)
        if actual is None:
            yield warning(subject, f"{name} cannot be read", "allow DescribeConfigs on the topic")
            continue
        verdict, harm = _RULES[name].judge(actual, value)
        if verdict is not Verdict.RIGHT:
            advice = f"{harm}: set it to {value} (kafka-configs.sh --alter --add-config)"
            yield Finding(subject, verdict, f"{name}={actual}", advice)
