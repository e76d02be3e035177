"""A persister signs by the clock, a forwarder brings it to the sink, and `verify` is asked there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer

from ingest_service.compliance.anchor_keys import read_public_keys
from ingest_service.compliance.anchors import AnchorUnreadableError, SignedAnchor, event, read_line
from ingest_service.compliance.selection import EVERYTHING
from ingest_service.compliance.verify import verify
from ingest_service.compliance.witness import read_witness
from siem import stand_in
from signing import key_pair
from stage.journal import events
from stage.waiting import until
from stage.worker import Worker

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.e2e]


async def published(stage: Stage) -> list[SignedAnchor]:
    """Return the anchors in the topic of audit events."""
    found: list[SignedAnchor] = []
    async with AIOKafkaConsumer(
        stage.topic, bootstrap_servers=stage.bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        for records in (await consumer.getmany(timeout_ms=2_000)).values():
            for record in records:
                try:
                    found.append(read_line(record.value))
                except AnchorUnreadableError:
                    pass
    return found


async def test_heads_are_signed_kept_forwarded_and_hold(
    stage: Stage, seed: random.Random, tmp_path: Path
) -> None:
    """Two persisters sign what each owns; a sink has the anchors; they hold what is stored."""
    keys, kept = key_pair(tmp_path), tmp_path / "anchors.jsonl"
    await stage.produce(events(seed, 300))
    signing = {
        "INGEST_ANCHOR__KEY_FILE": str(keys.private),
        "INGEST_ANCHOR__FILE": str(kept),
        "INGEST_ANCHOR__TOPIC": stage.topic,
    }
    stage.start_worker()
    await stage.some_durable(300)
    async with stand_in() as siem:
        for _ in range(2):
            stage.start_worker(**signing)
        anchors: list[SignedAnchor] = []

        async def are_published() -> bool:
            anchors[:] = await published(stage)
            return bool(anchors)

        await until(are_published, what="anchors are in the topic")
        sink = stage.environment(
            INGEST_SPLUNK__URL=siem.splunk.url, INGEST_SPLUNK__TOKEN="local-splunk-token"
        )
        forwarder = Worker("forwarder", tmp_path / "forwarder.log", sink, ["forward"])
        try:
            ids = {event(each)[7:43].decode() for each in anchors}
            await until(lambda: _has(ids, siem.splunk.arrived.ids), what="the sink has the anchors")
        finally:
            forwarder.process.terminate()
            await asyncio.to_thread(forwarder.process.wait)
        witness = read_witness(kept, read_public_keys([keys.public]), EVERYTHING)
        report = await verify(stage.dsn, witness=witness)
    assert report.is_good
    assert any(each.anchored is not None for each in report.streams)


async def _has(ids: set[str], arrived: list[str]) -> bool:
    return ids <= set(arrived)
