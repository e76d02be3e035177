"""A partition that stops names the command that goes on, for whoever reads it."""

from __future__ import annotations

from aiokafka.structs import TopicPartition

from ingest_service.adapters.kafka_faults import batch_fault
from ingest_service.adapters.kafka_forwarder import ForwardConsumer

PLACE = TopicPartition("events", 3)


def test_batch_that_cannot_be_read_names_the_ledgers_command() -> None:
    """The persister goes on past it by a gap in the ledger."""
    words = str(batch_fault(PLACE, 10, 20, too_large=False))
    assert "ledger accept-gap --partition 3 --to 20" in words


def test_batch_that_cannot_be_read_names_the_sinks_command() -> None:
    """A sink goes on past it by a refill from the originals: the ledger's gap would not move it."""
    consumer = ForwardConsumer.__new__(ForwardConsumer)  # as it stands, without a broker
    consumer._next = {3: 10}
    words = str(batch_fault(PLACE, 10, 20, too_large=True, way_past=consumer._way_past(3, 20)))
    assert "replay sink NAME --partition 3 --from 10 --to 20" in words
    assert "ledger" not in words
