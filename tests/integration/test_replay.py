"""`replay` as an operator runs it: real broker, real database, a stand-in for the sink."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from ingest_service.adapters.kafka_admin import KafkaAdmin
from ingest_service.adapters.kafka_dead_letters import DeadLetterProducer
from ingest_service.adapters.kafka_forwarder import ForwardConsumer
from ingest_service.adapters.kafka_letters import open_letters, wait_for_all
from ingest_service.adapters.migrations import migrate
from ingest_service.errors import BrokerUnavailableError
from ingest_service.events.record import StoredRecord
from ingest_service.forward.dead_letter import Refusal, headers_of
from ingest_service.preflight.topics import dead_letter_topic, events_topic
from ingest_service.settings import KafkaSettings
from logins import login
from schema import OPERATOR, connected
from siem import Siem, stand_in
from trail import Trail, event, value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

pytestmark = pytest.mark.kafka

TOKEN, KEY = "local-splunk-token", "local-datadog-key"


class Desk(NamedTuple):
    """Where the operator sits: a dead-letter topic of its own, both sinks on."""

    kafka: KafkaSettings
    siem: Siem

    async def put(self, *offsets: int, sink: str = "splunk", reason: str = "bad_format") -> None:
        """Dead-letter these records of partition 0."""
        async with DeadLetterProducer(self.kafka) as letters:
            for offset in offsets:
                refusal = Refusal(sink, reason, 400, b'{"code":6}')
                record = StoredRecord(
                    self.kafka.topic, 0, offset, 1_750_000_000_000, b"k", value(offset)
                )
                headers = headers_of(record, refusal)
                await letters.send(offset, record.key, record.value, headers)

    async def replay(self, *arguments: str, **settings: str) -> tuple[int, Any]:
        """Run `replay ... --json`; return the exit code, and what it said."""
        code, output, errors = await self.run("replay", *arguments, "--json", **settings)
        return code, json.loads(output) if output else errors

    async def run(self, *arguments: str, **settings: str) -> tuple[int, str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("INGEST_")}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ingest_service",
            *arguments,
            env=kept
            | {
                "INGEST_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
                "INGEST_KAFKA__TOPIC": self.kafka.topic,
                "INGEST_KAFKA__DEAD_LETTER_TOPIC": self.kafka.dead_letter_topic,
                "INGEST_KAFKA__GROUP_PREFIX": self.kafka.group_prefix,
                "INGEST_SPLUNK__URL": self.siem.splunk.url,
                "INGEST_SPLUNK__TOKEN": TOKEN,
                "INGEST_DATADOG__URL": self.siem.datadog.url,
                "INGEST_DATADOG__API_KEY": KEY,
                "INGEST_SECRETS_DIR": "/none",
            }
            | settings,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert TOKEN.encode() not in output + errors
        return process.returncode or 0, output.decode(), errors.decode()

    async def group_offset(self, offset: int | None = None, partition: int = 0) -> int | None:
        """Return what Splunk's forwarder has committed, after committing it if one is given."""
        place = TopicPartition(self.kafka.topic, partition)
        async with AIOKafkaConsumer(
            bootstrap_servers=self.kafka.bootstrap_servers,
            group_id=self.kafka.forwarder_group("splunk"),
            enable_auto_commit=False,
        ) as consumer:
            consumer.assign([place])
            if offset is not None:
                await consumer.commit({place: offset})
            return await consumer.committed(place)


@pytest.fixture
async def desk(kafka_bootstrap: str, topic_name: str) -> AsyncIterator[Desk]:
    kafka = KafkaSettings(
        bootstrap_servers=kafka_bootstrap,
        topic=topic_name,
        dead_letter_topic=f"{topic_name}.dead",
        group_prefix=topic_name,
    )
    async with KafkaAdmin(kafka) as admin:
        await admin.create(
            [
                events_topic(kafka.topic, 1, partitions=1),
                dead_letter_topic(kafka.dead_letter_topic, 1, partitions=3),
            ]
        )
    async with stand_in() as siem:
        yield Desk(kafka, siem)


def letter(sink: str, reason: str, **counts: int) -> dict[str, Any]:
    nothing = {"found": 0, "sent_before": 0, "sent": 0, "refused_again": 0, "waiting": 0}
    return {"sink": sink, "reason": reason} | nothing | counts


async def test_letters_are_sent_once_with_their_own_identity(desk: Desk) -> None:
    """Dry run: counted. Then each once, under the position that the record had, both sinks."""
    await desk.put(*range(5))
    await desk.put(7, sink="datadog", reason="refused")
    code, told = await desk.replay("dead-letters", "--dry-run")
    assert (code, desk.siem.splunk.arrived.events) == (0, 0)
    assert told["letters"] == [
        letter("datadog", "refused", found=1, waiting=1),
        letter("splunk", "bad_format", found=5, waiting=5),
    ]
    code, told = await desk.replay("dead-letters")
    assert (code, told["letters"][1]["sent"]) == (0, 5)
    assert desk.siem.splunk.arrived.offsets(desk.kafka.topic, 0) == [(0, 4)]
    assert desk.siem.datadog.arrived.offsets(desk.kafka.topic, 0) == [(7, 7)]
    assert set(desk.siem.splunk.arrived.ids) == {event(n)["id"] for n in range(5)}
    code, told = await desk.replay("dead-letters")
    assert (code, told["letters"][1]) == (
        0,
        letter("splunk", "bad_format", found=5, sent_before=5),
    )
    assert (desk.siem.splunk.arrived.events, desk.siem.datadog.arrived.events) == (5, 1)


async def test_letter_that_is_refused_again_waits_for_the_next_run(desk: Desk) -> None:
    """Exit code 1 while something is left; no second letter is written; filters choose."""
    await desk.put(0, 1, 2)
    await desk.put(3, reason="bad_fields")
    desk.siem.splunk.fault(code=6, match='"request-1"', times=0)
    code, told = await desk.replay("dead-letters", "--reason", "bad_format")
    expected = letter("splunk", "bad_format", found=3, sent=2, refused_again=1, waiting=3)
    assert (code, told["letters"]) == (1, [expected])
    desk.siem.splunk.script.clear()
    code, told = await desk.replay("dead-letters", "--sink", "splunk")
    assert (code, sum(each["found"] for each in told["letters"])) == (0, 4)
    assert sum(each["sent"] for each in told["letters"]) == 2
    assert desk.siem.splunk.arrived.offsets(desk.kafka.topic, 0) == [(0, 3)]
    assert desk.siem.splunk.arrived.repeated == 0


async def test_sink_that_is_set_up_wrongly_ends_the_command(desk: Desk) -> None:
    """A person waits: the reason in a line, exit code 1, and the letters wait."""
    await desk.put(0)
    code, said = await desk.replay("dead-letters", INGEST_SPLUNK__TOKEN="another")
    assert (code, "INGEST_SPLUNK__TOKEN" in said) == (1, True), said
    code, _ = await desk.replay("dead-letters")
    assert (code, desk.siem.splunk.arrived.events) == (0, 1)


async def test_acknowledgement_is_waited_for(desk: Desk) -> None:
    """With acks on, the receipt is written only when the indexers have the event."""
    desk.siem.splunk_settings.ack = True
    desk.siem.splunk_settings.ack_after_seconds = 1.5
    await desk.put(*range(3))
    code, told = await desk.replay("dead-letters", INGEST_SPLUNK__ACK="true")
    assert (code, told["letters"][0]["sent"]) == (0, 3)
    code, told = await desk.replay("dead-letters")
    assert told["letters"][0]["sent_before"] == 3


async def test_second_replay_at_once_is_refused(desk: Desk) -> None:
    """Two at a time would send each letter twice."""
    await desk.put(0)
    async with open_letters(desk.kafka, f"{desk.kafka.group_prefix}-replay"):
        code, said = await desk.replay("dead-letters")
    assert (code, "another replay of dead letters runs" in said) == (1, True)
    assert desk.siem.splunk.arrived.events == 0


async def test_replays_that_begin_in_the_same_moment_both_stop(desk: Desk) -> None:
    """Neither saw the other before it joined: then one has too few partitions, one lost some."""
    await desk.put(0, 1, 2)
    group = f"{desk.kafka.group_prefix}-replay"
    dead = desk.kafka.model_copy(update={"topic": desk.kafka.dead_letter_topic})
    async with open_letters(desk.kafka, group) as letters, ForwardConsumer(dead, group) as other:
        with pytest.raises(BrokerUnavailableError, match="another replay"):
            await wait_for_all(other, 3)
        with pytest.raises(BrokerUnavailableError, match="another replay"):
            assert [each async for each in letters.records()] == []


async def test_no_letters_is_no_fault(desk: Desk) -> None:
    """A person is told so, with exit code 0."""
    code, output, errors = await desk.run("replay", "dead-letters")
    assert (code, output, errors) == (0, "no dead letters\n", "")


async def test_missing_topic_is_said(desk: Desk) -> None:
    """Nothing is made by accident: the command that makes it is named."""
    code, said = await desk.replay("dead-letters", INGEST_KAFKA__DEAD_LETTER_TOPIC="no.such")
    assert (code, "ingest-service topics create" in said) == (2, True)


async def test_letters_that_retention_took_are_passed_over(desk: Desk) -> None:
    """The topic begins later: what is left is sent."""
    await desk.put(0, 3, 6, 1)
    admin = AIOKafkaAdminClient(bootstrap_servers=desk.kafka.bootstrap_servers)
    await admin.start()
    place = TopicPartition(desk.kafka.dead_letter_topic, 0)
    await admin.delete_records({place: RecordsToDelete(before_offset=2)})
    await admin.close()
    code, _ = await desk.replay("dead-letters")
    assert code == 0
    assert desk.siem.splunk.arrived.offsets(desk.kafka.topic, 0) == [(1, 1), (6, 6)]


# --- a sink's hole -------------------------------------------------------------------------------


@pytest.fixture
async def operator(
    fresh_database: Callable[[str], AbstractAsyncContextManager[str]], topic_name: str
) -> AsyncIterator[str]:
    """Yield an operator's login where offsets 0-9 are rows, 10 no event, 20-29 behind a gap."""
    async with fresh_database("timescaledb") as dsn:
        await migrate(dsn)
        async with connected(dsn) as owner, login(owner, dsn, OPERATOR) as user:
            trail = Trail(owner, topic_name)
            stream = await trail.open()
            await trail.write(stream, [value(n) for n in range(10)])
            await trail.write(stream, [b"{"])
            await trail.gap(stream, 20)
            await trail.write(stream, [value(n) for n in range(20, 30)])
            yield user


def hole(first: int, end: int) -> tuple[str, ...]:
    return ("sink", "splunk", "--partition", "0", "--from", str(first), "--to", str(end))


@pytest.mark.database
async def test_hole_is_filled_and_the_forwarder_goes_on_behind_it(
    desk: Desk, operator: str
) -> None:
    """Each original of the range with its own position, malformed ones too; then the offset moves."""
    await desk.group_offset(3)
    code, told = await desk.replay(*hole(2, 11), INGEST_DATABASE__DSN=operator)
    assert code == 0, told
    assert told["records"] == {"accepted": 9, "left_out": 0, "dead_lettered": 0, "missing": 0}
    assert desk.siem.splunk.arrived.offsets(desk.kafka.topic, 0) == [(2, 10)]
    assert set(desk.siem.splunk.arrived.ids) > {event(n)["id"] for n in range(2, 10)}
    assert told["forwarder"] == {"step": "move", "offset": 11}
    assert await desk.group_offset() == 11


@pytest.mark.database
async def test_running_forwarder_is_stopped_first(desk: Desk, operator: str) -> None:
    """Its offset is its own to move: what to do is said, and nothing is sent a second time."""
    await desk.group_offset(0)
    settings = {"INGEST_DATABASE__DSN": operator}
    async with open_letters(desk.kafka, desk.kafka.forwarder_group("splunk")):
        code, output, _ = await desk.run("replay", *hole(0, 5), **settings)
        assert (code, await desk.group_offset()) == (1, 0)
    assert "0-4: 5 sent" in output
    assert "--partition 0 --from 0 --to 5 --already-sent" in output
    code, output, _ = await desk.run("replay", *hole(0, 5), "--already-sent", **settings)
    assert (code, output) == (0, "the forwarder of splunk goes on at 5\n")
    assert (desk.siem.splunk.arrived.events, await desk.group_offset()) == (5, 5)


@pytest.mark.database
async def test_what_is_not_kept_is_counted(desk: Desk, operator: str) -> None:
    """An accepted gap has no originals: said, and exit code 1, since the sink has a hole for ever."""
    code, told = await desk.replay(*hole(8, 22), INGEST_DATABASE__DSN=operator)
    assert (code, told["records"]["accepted"], told["records"]["missing"]) == (1, 5, 9)
    assert told["forwarder"] == {"step": "leave", "offset": None}


@pytest.mark.database
async def test_refused_original_is_dead_lettered(desk: Desk, operator: str) -> None:
    """It goes where the forwarder would have put it, and can be sent again from there."""
    desk.siem.splunk.fault(code=6, match='"request-4"', times=0)
    code, told = await desk.replay(*hole(0, 10), INGEST_DATABASE__DSN=operator)
    assert (code, told["records"]["dead_lettered"]) == (0, 1)
    desk.siem.splunk.script.clear()
    code, told = await desk.replay("dead-letters")
    assert (code, told["letters"][0]["sent"]) == (0, 1)
    assert desk.siem.splunk.arrived.offsets(desk.kafka.topic, 0) == [(0, 9)]


@pytest.mark.database
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (hole(0, 31), "from offset 0 up to 30"),
        (hole(5, 5), "--from must be below --to"),
        (("sink", "syslog", *hole(0, 5)[2:]), "the sink syslog is not on; on: splunk, datadog"),
    ],
)
async def test_refill_that_cannot_be_is_used_wrongly(
    desk: Desk, operator: str, arguments: tuple[str, ...], said: str
) -> None:
    """Exit code 2 and what is there instead; nothing is sent."""
    code, told = await desk.replay(*arguments, INGEST_DATABASE__DSN=operator)
    assert (code, said in told) == (2, True), told
    assert desk.siem.splunk.arrived.events == 0
