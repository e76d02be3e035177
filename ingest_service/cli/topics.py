"""`ingest-service topics create`: the topics, made or compared."""

from collections.abc import Sequence
from typing import Annotated

import typer

from ingest_service import settings
from ingest_service.adapters.kafka_admin import KafkaAdmin, NewTopic
from ingest_service.cli.check import show
from ingest_service.cli.output import FOUND_WRONG, run
from ingest_service.preflight import topics
from ingest_service.preflight.finding import Finding, Verdict, right
from ingest_service.settings import KafkaSettings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Make the Kafka topics as the service needs them.\n\n"
    "Example: ingest-service topics create --partitions 12",
)


@app.callback()
def _topics() -> None:
    """Keep `create` a command of its own, also while it is the only one."""


@app.command()
def create(
    partitions: Annotated[
        int, typer.Option(min=1, max=10_000, help="Of each topic; a partition has one worker.")
    ] = topics.PARTITIONS,
    replication: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Of each partition.  [default: 3, or all brokers]"),
    ] = None,
    uncompressed: Annotated[
        bool,
        typer.Option(
            "--uncompressed",
            help="Let the broker unpack what publishers compress: a compressed record can not "
            "fill a worker's memory then, for more disk and network.",
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Make the topics of audit events and of dead letters; safe to repeat.

    A topic that exists is compared with what the service needs, and never changed: differences
    are listed, with exit code 1. Names come from INGEST_KAFKA__TOPIC and __DEAD_LETTER_TOPIC.

    Example: ingest-service topics create --partitions 12
    """
    kafka = settings.load().kafka
    findings = run(
        _create(kafka, partitions=partitions, replication=replication, uncompressed=uncompressed)
    )
    show(findings, json=json)
    if any(finding.verdict is not Verdict.RIGHT for finding in findings):
        raise typer.Exit(FOUND_WRONG)


async def _create(
    kafka: KafkaSettings, *, partitions: int, replication: int | None, uncompressed: bool
) -> Sequence[Finding]:
    async with KafkaAdmin(kafka) as admin:
        brokers = await admin.brokers()
        wanted = [
            topics.events_topic(
                kafka.topic,
                brokers,
                partitions=partitions,
                replication=replication,
                uncompressed=uncompressed,
            ),
            topics.dead_letter_topic(
                kafka.dead_letter_topic, brokers, partitions=partitions, replication=replication
            ),
        ]
        return await made_or_compared(admin, wanted)


async def made_or_compared(admin: KafkaAdmin, wanted: Sequence[NewTopic]) -> list[Finding]:
    """Make what is not there, and compare what is; nothing that exists is changed."""
    before = await admin.describe([topic.name for topic in wanted])
    missing = [topic for topic in wanted if topic.name not in before]
    overtaken = await admin.create(missing) if missing else set()
    found = before | (await admin.describe(list(overtaken)) if overtaken else {})
    return [
        finding
        for topic in wanted
        for finding in (
            topics.compare(topic, found[topic.name]) if topic.name in found else [_made(topic)]
        )
    ]


def _made(topic: NewTopic) -> Finding:
    return right(
        f"topic {topic.name}",
        f"created: {topic.partitions} partitions, replication {topic.replication}",
    )
