"""An operator's decisions reach the ledger, whole and reasoned, and nobody else's do."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from ingest_service.adapters.migrations import migrate
from ingest_service.compliance.findings import Class
from ingest_service.compliance.ledger_entries import accept_gap, open_epochs
from ingest_service.compliance.verify import verify
from ingest_service.errors import DatabaseUnavailableError, SetupError
from ingest_service.events.decode import CONTRACT
from ingest_service.ledger import Rules
from logins import login
from schema import OPERATOR, WRITER, connected
from trail import LIMITS, TOPIC, Trail, value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ingest_service.ledger import Stream

pytestmark = pytest.mark.database

RULES = Rules.of(CONTRACT, LIMITS)
PLACE = (TOPIC, 0)


class Office(NamedTuple):
    """A ledger that stands at offset 3 of partition 0, and an operator's login."""

    dsn: str
    operator: str
    trail: Trail
    stream: Stream


@pytest.fixture
async def office(database_dsn: str) -> AsyncIterator[Office]:
    await migrate(database_dsn)
    async with connected(database_dsn) as owner, login(owner, database_dsn, OPERATOR) as operator:
        trail = Trail(owner)
        stream = await trail.open()
        await trail.write(stream, [value(n) for n in range(3)])
        yield Office(database_dsn, operator, trail, stream)


async def test_accepted_gap_continues_the_chain(office: Office):
    """The entry continues the head, says who and why, and `verify` reports it as a notice."""
    gap = await accept_gap(office.operator, PLACE, 10, "lost a disk", RULES)
    assert (gap.lost, gap.entry.first_offset, gap.entry.sequence) == (7, 3, 2)
    kept = await office.trail.connection.fetchrow(
        "select kind, next_offset, note from gateway_audit_ledger where sequence = 2"
    )
    who = office.operator.split("//")[1].split(":")[0]
    assert tuple(kept) == ("gap", 10, f"lost a disk ({who})")
    report = await verify(office.dsn)
    assert (report.is_good, report.counts) == (True, {Class.ACCEPTED_GAP: 1})
    assert report.streams[0].gap_offsets == 7


async def test_dry_run_writes_nothing(office: Office):
    """What would be done is said, and not done."""
    gap = await accept_gap(office.operator, PLACE, 10, "lost", RULES, dry_run=True)
    assert (gap.lost, gap.note) == (7, None)
    epochs = await open_epochs(office.operator, TOPIC, 0, "again", dry_run=True)
    assert [each.epoch for each in epochs] == [2]
    counts = "select (select count(*) from gateway_audit_ledger), (select count(*) from gateway_audit_streams)"
    assert tuple(await office.trail.connection.fetchrow(counts)) == (2, 1)


@pytest.mark.parametrize("to", [1, 3])
async def test_what_is_no_gap_is_refused(office: Office, to: int):
    """What is durable already cannot be given up."""
    with pytest.raises(SetupError, match=r"there is no gap.* goes on at 3"):
        await accept_gap(office.operator, PLACE, to, "why", RULES)


async def test_unknown_partition_is_refused(office: Office):
    """A gap or an epoch needs something that it follows."""
    with pytest.raises(SetupError, match=f"does not know {TOPIC}/7"):
        await accept_gap(office.operator, (TOPIC, 7), 10, "why", RULES)
    with pytest.raises(SetupError, match="does not know other"):
        await open_epochs(office.operator, "other", None, "why")


async def test_reason_is_required(office: Office):
    """A decision that is kept for ever says why."""
    with pytest.raises(SetupError, match="--reason"):
        await accept_gap(office.operator, PLACE, 10, "  ", RULES)
    with pytest.raises(SetupError, match="--reason"):
        await open_epochs(office.operator, TOPIC, 0, "")


async def test_worker_may_not_accept_a_gap(office: Office):
    """The writer's login is refused, with what to grant."""
    async with login(office.trail.connection, office.dsn, WRITER) as writer:
        with pytest.raises(SetupError, match="grant gateway_audit_operator to"):
            await accept_gap(writer, PLACE, 10, "why", RULES)
        with pytest.raises(SetupError, match="grant gateway_audit_operator to"):
            await open_epochs(writer, TOPIC, 0, "why")


async def test_gap_waits_for_a_write_in_flight(office: Office):
    """A worker's transaction under way is waited for, and its head is the one that is followed."""
    async with connected(office.dsn) as worker:
        transaction = worker.transaction()
        await transaction.start()
        await worker.execute("select pg_advisory_xact_lock(1096107337, $1)", office.stream.id)
        office.trail.connection = worker
        await office.trail.write(office.stream, [value(3)])
        asked = asyncio.create_task(accept_gap(office.operator, PLACE, 10, "why", RULES))
        await blocked(office.dsn)
        await transaction.commit()
        gap = await asked
    assert (gap.entry.first_offset, gap.lost) == (4, 6)
    assert (await verify(office.dsn)).is_good


async def test_stuck_worker_is_said(office: Office, monkeypatch: pytest.MonkeyPatch):
    """A stream that somebody holds for long is not waited for without end."""
    monkeypatch.setattr("ingest_service.adapters.ledger_operator._LOCK_SECONDS", 0.1)
    async with connected(office.dsn) as worker, worker.transaction():
        await worker.execute("select pg_advisory_xact_lock(1096107337, $1)", office.stream.id)
        with pytest.raises(DatabaseUnavailableError, match="try again"):
            await accept_gap(office.operator, PLACE, 10, "why", RULES)


async def blocked(dsn: str) -> None:
    """Return once a session waits for an advisory lock."""
    waiting = "select from pg_locks where locktype = 'advisory' and not granted"
    async with connected(dsn) as observer:
        while not await observer.fetch(waiting):  # noqa: ASYNC110 - nothing tells us
            await asyncio.sleep(0.005)


async def test_new_epoch_begins_another_stream(office: Office):
    """Each partition gets its next epoch; the life before stays, and both are whole."""
    second = await office.trail.open(partition=1)
    epochs = await open_epochs(office.operator, TOPIC, None, "made again")
    assert [(each.stream, each.epoch, each.ended_at) for each in epochs] == [
        (office.stream, 2, 3),
        (second, 2, 0),
    ]
    kept = await office.trail.connection.fetch(
        'select partition, epoch, reason, "by" from gateway_audit_streams where epoch > 1 order by 1'
    )
    who = office.operator.split("//")[1].split(":")[0]
    assert [tuple(row) for row in kept] == [(0, 2, "made again", who), (1, 2, "made again", who)]
    assert (await verify(office.dsn)).is_good


async def test_epoch_without_an_entry_is_not_followed(office: Office):
    """Saying it twice does not skip an epoch that no worker has begun."""
    await open_epochs(office.operator, TOPIC, 0, "made again")
    with pytest.raises(SetupError, match="epoch 2 without an entry"):
        await open_epochs(office.operator, TOPIC, 0, "made again")


# --- the commands --------------------------------------------------------------------------------


@pytest.mark.kafka
async def test_command_accepts_the_gap_up_to_where_the_log_starts(
    office: Office, kafka_bootstrap: str, topic_name: str
):
    """Without --to the broker is asked; what it still has is not given up by mistake."""
    await produce_and_delete(kafka_bootstrap, topic_name, records=12, delete_before=5)
    trail = Trail(office.trail.connection, topic_name)
    await trail.write(await trail.open(), [value(n) for n in range(100, 103)])
    settings = {
        "INGEST_DATABASE__DSN": office.operator,
        "INGEST_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
        "INGEST_KAFKA__TOPIC": topic_name,
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return command(settings, "ledger", *arguments)

    gap = ("accept-gap", "--partition", "0", "--reason", "expired")
    refused = await asyncio.to_thread(run, *gap, "--to", "8")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "still has the records from 5 on" in refused.stderr
    refused = await asyncio.to_thread(run, *gap, "--to", "13")
    assert (refused.returncode, "the log ends at 12" in refused.stderr) == (2, True)
    planned = await asyncio.to_thread(run, *gap, "--dry-run")
    assert "2 records, offsets 3-4, would be given up. Nothing was done" in planned.stdout
    accepted = await asyncio.to_thread(run, *gap, "--json")
    result = json.loads(accepted.stdout)
    assert (result["first_offset"], result["next_offset"], result["accepted"]) == (3, 5, True)
    more = await asyncio.to_thread(run, *gap, "--to", "8", "--including-kept")
    assert "3 records, offsets 5-7, given up, as entry 3: expired (" in more.stdout
    epoch = await asyncio.to_thread(run, "new-epoch", "--partition", "0", "--reason", "made again")
    assert "epoch 2 opened (the one before ended at 8)" in epoch.stdout
    assert (await verify(office.dsn)).is_good


def command(settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `ingest-service`."""
    kept = {name: text for name, text in os.environ.items() if "INGEST_" not in name}
    return subprocess.run(
        [sys.executable, "-m", "ingest_service", *arguments],
        env=kept | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def produce_and_delete(
    bootstrap: str, topic: str, *, records: int, delete_before: int
) -> None:
    """Make the topic and fill it; delete its first records."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for n in range(records):
                await producer.send_and_wait(topic, b"%d" % n, partition=0)
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(delete_before)})
    finally:
        await admin.close()
