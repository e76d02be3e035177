"""Which partitions the consumer group gave to this member."""

from collections.abc import Iterable

import structlog
from aiokafka import ConsumerRebalanceListener
from aiokafka.structs import TopicPartition

from ingest_service.adapters.kafka_reader import RecordReader

_log = structlog.get_logger(__name__)


class Assignment(ConsumerRebalanceListener):
    """Counts assignments: whoever holds work of an older epoch drops it. No lock, so no deadlock.

    A partition that is assigned is paused: nothing is read before its durable offset was looked up.
    """

    def __init__(self, reader: RecordReader) -> None:
        self.epoch = 0
        self.partitions: tuple[int, ...] = ()
        self.joined = False
        self._reader = reader

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Void what was fetched: aiokafka calls this before each rebalance."""
        del revoked
        self.epoch += 1
        self.partitions = ()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take over these partitions: aiokafka calls this after each rebalance."""
        partitions = tuple(sorted(each.partition for each in assigned))
        self._reader.pause(partitions)
        for partition in partitions:
            # Any position: without one each fetch raises that there is none, and a partition that
            # is stopped before its first seek would hold its neighbours up.
            self._reader.seek(partition, 0)
        self.epoch += 1
        self.partitions = partitions
        self.joined = True
        _log.info("partitions assigned", topic=self._reader.topic, partitions=list(partitions))
