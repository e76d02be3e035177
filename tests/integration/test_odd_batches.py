"""Batches that aiokafka cannot read harm nobody: the records come, byte for byte, or are named."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from contract.clusters import KafkaCluster
from ingest_service import ledger
from waiting import until

if TYPE_CHECKING:
    from ingest_service.events.record import Record
    from ingest_service.persist.ports import Source

pytestmark = pytest.mark.kafka

PLACEHOLDER, NOT_UTF8 = b"NAME", b"\xff\xfe\x00\xc3"
CRC_AT = 17
AFTER_CRC = 21


async def send_with_odd_header(bootstrap: str, topic: str) -> None:
    """Send a batch of two records whose second one has a header name that is no text."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        batch = producer.create_batch()
        batch.append(key=None, value=b"plain", timestamp=1)
        batch.append(key=b"k", value=b"odd", timestamp=1, headers=[(PLACEHOLDER.decode(), b"v")])
        batch.close()
        written = bytearray(batch._build())
        at = written.index(PLACEHOLDER)
        written[at : at + len(PLACEHOLDER)] = NOT_UTF8
        struct.pack_into(">I", written, CRC_AT, calc_crc32c(memoryview(written)[AFTER_CRC:]))
        batch._buffer = written
        await (await producer.send_batch(batch, topic, partition=0))


async def read(source: Source, partitions: list[int], count: int) -> dict[int, list[Record]]:
    found: dict[int, list[Record]] = {partition: [] for partition in partitions}
    async with asyncio.timeout(30):
        while sum(map(len, found.values())) < count:
            for partition, records in (await source.fetch(partitions, 100, 0.1)).items():
                found[partition] += records
    return found


async def test_header_name_that_is_no_text_keeps_its_bytes(kafka_bootstrap: str, topic_name: str):
    """Any client may send such a name: the record comes with it, and so do its neighbours."""
    cluster = KafkaCluster(kafka_bootstrap, f"{topic_name}.{uuid4().hex[:4]}")
    await cluster.create(2)
    await cluster.produce(0, [b"before"])
    await send_with_odd_header(kafka_bootstrap, cluster.topic)
    await cluster.produce(0, [b"after"])
    await cluster.produce(1, [b"neighbour"])
    async with cluster.member() as source:
        await until(lambda: source.assigned)
        for partition in (0, 1):
            source.seek(partition, 0)
        source.resume([0, 1])
        found = await read(source, [0, 1], 5)
        assert [each.value for each in found[0]] == [b"before", b"plain", b"odd", b"after"]
        assert [each.offset for each in found[0]] == [0, 1, 2, 3]
        assert [each.value for each in found[1]] == [b"neighbour"]
        assert ledger.encode_headers(found[0][2].headers) == b"\x91\x92\xc4\x04" + NOT_UTF8 + (
            b"\xc4\x01v"
        )
        source.seek(0, 2)
        again = await read(source, [0], 2)
        assert ledger.frame(again[0][0]) == ledger.frame(found[0][2])
