"""`trace` as a person runs it: real broker, real persister, each station of an event's way."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from ingest_service.adapters.kafka_admin import KafkaAdmin, NewTopic
from ingest_service.adapters.kafka_dead_letters import DeadLetterProducer
from ingest_service.events.record import StoredRecord
from ingest_service.forward.dead_letter import Refusal, headers_of
from ingest_service.preflight.topics import dead_letter_topic
from ingest_service.replay.receipt import receipt
from ingest_service.settings import KafkaSettings
from stage import Stage, on_stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]


def now(number: int, **fields: Any) -> bytes:
    """Return an event of this moment."""
    event = {
        "id": f"0190a3c2-7b1e-7c3d-8f2a-{number:012d}", "event_type": "tool_invoke",
        "user_id": "alice", "decision": "deny", "reason": "policy", "timestamp": time.time(),
        "gateway_request_id": f"request-{number}",
    }  # fmt: skip
    return json.dumps(event | fields).encode()


class Desk(NamedTuple):
    """Somebody with a shell: topic, database, and the dead letters."""

    stage: Stage
    kafka: KafkaSettings

    async def trace(self, *arguments: str, **settings: str) -> tuple[int, bytes, bytes]:
        """Run the command; return its exit code and what it wrote."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ingest_service", "trace", *arguments,
            env=self.stage.environment(
                INGEST_KAFKA__DEAD_LETTER_TOPIC=self.kafka.dead_letter_topic,
                INGEST_SPLUNK__URL="https://127.0.0.1:1", INGEST_SPLUNK__TOKEN="t", **settings,
            ),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, errors = await process.communicate()
        return process.returncode or 0, output, errors

    async def found(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Return the exit code and the one place that the answer names."""
        code, output, errors = await self.trace(*arguments, "--json")
        assert not errors
        report = json.loads(output)
        assert report["unasked"] == []
        [found] = report["found"]
        return code, found

    async def commit(self, sink: str, offset: int) -> None:
        """Commit as the sink's forwarder does, for partition 0."""
        place = TopicPartition(self.kafka.topic, 0)
        async with AIOKafkaConsumer(
            bootstrap_servers=self.kafka.bootstrap_servers,
            group_id=self.kafka.forwarder_group(sink),
            enable_auto_commit=False,
        ) as consumer:
            consumer.assign([place])
            await consumer.commit({place: offset})

    async def refuse(self, sink: str, record: StoredRecord) -> None:
        """Dead-letter a record as a forwarder does."""
        async with DeadLetterProducer(self.kafka) as letters:
            headers = headers_of(record, Refusal(sink, "invalid_data", 400, b"hunter2"))
            await letters.send(record.partition, record.key, record.value, headers)

    async def send_again(self, sink: str, letter: int) -> None:
        """Leave the receipt of a replay."""
        async with DeadLetterProducer(self.kafka) as letters:
            content, headers = receipt(sink, [letter])
            await letters.send(0, None, content, headers)


@pytest.fixture
async def desk(
    kafka_bootstrap: str,
    topic_name: str,
    fresh_database: Callable[[str], AbstractAsyncContextManager[str]],
    tmp_path: Path,
) -> AsyncIterator[Desk]:
    kafka = KafkaSettings(
        bootstrap_servers=kafka_bootstrap, topic=topic_name,
        dead_letter_topic=f"{topic_name}.dead", group_prefix=topic_name,
    )  # fmt: skip
    async with (
        fresh_database("plain") as dsn,
        on_stage(kafka_bootstrap, topic_name, dsn, tmp_path, partitions=3) as stage,
        KafkaAdmin(kafka) as admin,
    ):
        await admin.create([dead_letter_topic(kafka.dead_letter_topic, 1, partitions=1)])
        yield Desk(stage, kafka)


async def persisted(desk: Desk, *values: bytes | None) -> None:
    """Publish, have it persisted, and stop the persister."""
    await desk.stage.produce(values, partition=0)
    worker = desk.stage.start_worker()
    await desk.stage.drained()
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0


async def test_event_is_followed_from_kafka_to_the_sinks(desk: Desk):
    """A row's stations, with its bytes compared; each sink by its offset and the dead letters."""
    await persisted(desk, now(0), now(1), now(2), b"{")
    record = StoredRecord(desk.kafka.topic, 0, 1, 0, b"k", b"v")
    await desk.commit("splunk", 3)
    await desk.commit("datadog", 1)
    await desk.refuse("splunk", record._replace(offset=2))
    await desk.refuse("splunk", record)
    code, found = await desk.found("request-1")
    assert (code, found["standing"], found["offset"], found["wrong"]) == (0, "row", 1, [])
    assert (found["kafka"]["is_there"], found["kafka"]["same"]) == (True, True)
    assert found["ledger"]["sequence"] >= 1
    assert [(each["sink"], each["state"], each["passed_before"]) for each in found["sinks"]] == [
        ("datadog", "waiting", 1),
        ("splunk", "dead_lettered", 3),
    ]
    await desk.send_again("splunk", 1)
    code, found = await desk.found("0:1")
    assert found["sinks"][1]["state"] == "sent_again"
    assert found["sinks"][1]["letter"]["reason"] == "invalid_data"
    _, found = await desk.found("0:0")
    assert [each["state"] for each in found["sinks"]] == ["passed", "passed"]
    code, found = await desk.found("0:3")
    assert (code, found["quarantine"]["reason"]) == (0, "not_json")


async def test_timeline_and_raw_bytes(desk: Desk):
    """A person reads a few lines without the event's content; --raw writes exactly its bytes."""
    await persisted(desk, now(0, metadata={"secret": "hunter2"}))
    code, output, errors = await desk.trace("0:0")
    assert (code, errors) == (0, b"")
    lines = output.decode().splitlines()
    assert lines[0] == f"{desk.kafka.topic}/0 offset 0: a row"
    assert [line.split()[0] for line in lines[1:]] == [
        "decided",
        "Kafka",
        "row",
        "ledger",
        "splunk",
    ]
    assert "hunter2" not in output.decode()
    code, output, errors = await desk.trace("0:0", "--raw")
    [(_, sent)] = desk.stage.journal.records.values()
    assert (code, output, errors) == (0, sent, b"")


async def test_what_is_not_durable_is_found_in_kafka(desk: Desk):
    """By its request id, its audit id and its place; nobody's place is nobody's."""
    await persisted(desk, now(0))
    await desk.stage.produce([now(1), now(2)], partition=0)
    for asked in ("request-2", "0190a3c2-7b1e-7c3d-8f2a-000000000002", "0:2"):
        code, found = await desk.found(asked)
        assert (code, found["standing"], found["offset"]) == (0, "waiting", 2)
        assert found["kafka"]["is_there"]
    code, found = await desk.found("0:3")
    assert (code, found["standing"]) == (1, "not_there_yet")
    # Each partition is searched in turn: a consumer that was assigned twice never closed.
    async with asyncio.timeout(60):
        code, output, _ = await desk.trace("nobody's")
    assert (code, output) == (1, b"nothing is known of nobody's\n")


async def test_before_any_persister_kafka_alone_answers(desk: Desk):
    """A topic that nobody has persisted yet is searched all the same."""
    await desk.stage.produce([now(0)], partition=0)
    for asked in ("0:0", "request-0"):
        code, found = await desk.found(asked)
        assert (code, found["standing"], found["kafka"]["is_there"]) == (0, "waiting", True)


async def test_record_that_has_left_kafka_is_known_from_the_originals(desk: Desk):
    """After Kafka's retention the row is there and whole; what was not persisted is lost, and told."""
    await persisted(desk, now(0), now(1))
    await desk.stage.produce([now(2), now(3)], partition=0)
    admin = AIOKafkaAdminClient(bootstrap_servers=desk.kafka.bootstrap_servers)
    await admin.start()
    await admin.delete_records({TopicPartition(desk.kafka.topic, 0): RecordsToDelete(3)})
    await admin.close()
    code, found = await desk.found("0:1")
    assert (code, found["standing"], found["kafka"]["is_there"]) == (0, "row", False)
    code, found = await desk.found("0:2")
    assert (code, found["standing"]) == (1, "waiting")
    assert "left Kafka before it was persisted" in found["wrong"][0]


async def test_topic_that_was_made_again_is_told(desk: Desk):
    """Another record at the same place is no trace of this one, nor is a log that ends before it."""
    await persisted(desk, now(0), now(1))
    async with KafkaAdmin(desk.kafka) as admin:
        await admin._client.delete_topics([desk.kafka.topic])
        while await admin.describe([desk.kafka.topic]):  # noqa: ASYNC110 - deleted in the background
            await asyncio.sleep(0.05)
        await admin.create(
            [NewTopic(desk.kafka.topic, 3, 1, {"message.timestamp.type": "LogAppendTime"})]
        )
    await desk.stage.produce([now(9)], partition=0)
    code, found = await desk.found("0:0")
    assert (code, found["kafka"]["same"]) == (1, False)
    assert found["wrong"] == ["Kafka has another record here: was the topic made again?"]
    code, found = await desk.found("0:1")
    assert found["wrong"] == [
        "Kafka's log ends before it: it was truncated, or the topic made again"
    ]


async def test_wrong_use_is_told(desk: Desk):
    """What cannot be meant is exit code 2; a topic that is not there is said, after the database's answer."""
    assert (await desk.trace("0:0", "--raw", "--json"))[0] == 2
    for text in ("", "\udcff"):
        code, _, errors = await desk.trace(text)
        assert (code, b"in UTF-8" in errors) == (2, True)
    code, _, errors = await desk.trace("0:0", "--raw")
    assert (code, b"nothing that could be printed" in errors) == (2, True)
    code, output, _ = await desk.trace("0:0", "--topic", "nowhere")
    assert (code, b"not asked: Kafka: the broker has no topic nowhere" in output) == (1, True)
