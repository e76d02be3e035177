"""Where a sink's forwarder goes on once a range was refilled."""

from enum import StrEnum
from typing import NamedTuple

from ingest_service.adapters.kafka_admin import KafkaAdmin
from ingest_service.adapters.kafka_offsets import group_offset
from ingest_service.replay.refill import Wanted
from ingest_service.settings import KafkaSettings


class Step(StrEnum):
    """What is to be done with the group's offset."""

    MOVE = "move"
    STOP_FIRST = "stop_first"
    LEAVE = "leave"


class Resumption(NamedTuple):
    """What was done, and the offset at which the forwarder goes on (None: it never began)."""

    step: Step
    offset: int | None

    @property
    def must_stop_first(self) -> bool:
        """Whether the forwarder would repeat its stop as it is."""
        return self.step is Step.STOP_FIRST


def judge(committed: int | None, wanted: Wanted, members: int) -> Step:
    """Say whether the offset is moved behind the range: pure.

    Only where nothing is left out: the forwarder stands within what the sink has now. The offset
    of a group with members is theirs alone to move.
    """
    if committed is None or not wanted.first <= committed < wanted.end:
        return Step.LEAVE
    return Step.STOP_FIRST if members else Step.MOVE


async def resume_behind(kafka: KafkaSettings, sink: str, wanted: Wanted) -> Resumption:
    """Move the forwarder's offset behind the range, if it stands within and does not run.

    Raises `BrokerUnavailableError` or `SetupError`.
    """
    group = kafka.forwarder_group(sink)
    place = wanted.topic, wanted.partition
    async with KafkaAdmin(kafka) as admin:
        if wanted.topic not in await admin.describe([wanted.topic]):
            return Resumption(Step.LEAVE, None)  # its offsets would be waited for in vain
        _, members = await admin.group(group)
    committed = await group_offset(kafka, group, *place)
    step = judge(committed, wanted, members)
    if step is Step.MOVE:
        committed = await group_offset(kafka, group, *place, move_to=wanted.end)
    return Resumption(step, committed)
