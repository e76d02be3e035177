"""Asking and telling the Kafka cluster itself: aiokafka's admin client.

It answers in raw protocol; what comes out of here is ours. Nothing here makes a topic by accident:
asking for one topic's metadata would, on a broker with `auto.create.topics.enable`.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, Self

from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin import NewTopic as _NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from ingest_service.adapters.kafka_options import client_options
from ingest_service.adapters.kafka_reach import why_unreachable
from ingest_service.errors import BrokerUnavailableError, IngestError, SetupError
from ingest_service.settings import KafkaSettings

_TIMEOUT_SECONDS = 5
_TRIES = 40
_PAUSE_SECONDS = 0.25
_EXISTS = errors.TopicAlreadyExistsError.errno


class NewTopic(NamedTuple):
    """A topic as it is to be made."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]


class TopicState(NamedTuple):
    """A topic as it is; `replication` is that of its worst partition."""

    partitions: int
    replication: int
    leaderless: Sequence[int]
    settings: Mapping[str, str]


class KafkaAdmin:
    """A connection to the cluster for the length of an `async with` block.

    Entering raises `BrokerUnavailableError` or `SetupError`, which say per server what is wrong.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._options = client_options(kafka)
        self._client = AIOKafkaAdminClient(
            **self._options, request_timeout_ms=_TIMEOUT_SECONDS * 1000
        )

    async def __aenter__(self) -> Self:
        try:
            await self._client.start()
        except (KafkaError, OSError, TimeoutError) as exc:
            await self._client.close()
            raise await why_unreachable(self._options) from exc
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def brokers(self) -> int:
        """Return how many brokers the cluster has now."""
        return len((await _ask(self._client.describe_cluster()))["brokers"])

    async def describe(self, names: Collection[str]) -> dict[str, TopicState]:
        """Return each of these topics that exists (and that this user may see)."""
        every = await _ask(self._client.describe_topics())
        found = {topic["topic"]: topic for topic in every if topic["topic"] in names}
        settings = await self._settings(sorted(found)) if found else {}
        return {name: _state(topic, settings.get(name, {})) for name, topic in found.items()}

    async def create(self, topics: Sequence[NewTopic]) -> set[str]:
        """Make the topics, and return the names of those that somebody else had made meanwhile.

        They can be used once this returns: the broker answers before it knows of them itself.
        """
        wanted = [
            _NewTopic(t.name, t.partitions, t.replication, topic_configs=dict(t.settings))
            for t in topics
        ]
        answer = await _ask(self._client.create_topics(wanted))
        refused = {name: (code, message) for name, code, message in answer.topic_errors if code}
        for name, (code, message) in refused.items():
            if code != _EXISTS:
                why = message or errors.for_code(code).__name__
                raise SetupError(f"the broker refuses to make the topic {name}: {why}")
        await self._usable({topic.name for topic in topics})
        return set(refused)

    async def _usable(self, names: Collection[str]) -> None:
        for _ in range(_TRIES):
            found = await self.describe(names)
            if found.keys() == set(names) and not any(t.leaderless for t in found.values()):
                return
            await asyncio.sleep(_PAUSE_SECONDS)
        raise BrokerUnavailableError(f"the new topics have no leader yet: {', '.join(names)}")

    async def group(self, name: str) -> tuple[str, int]:
        """Return a consumer group's state and how many members it has; no group is `Dead`, 0."""
        [answer] = await _ask(self._describe_group(name))
        [(code, _, state, _, _, members, *_)] = answer.groups
        if code:
            raise _meaning(errors.for_code(code)())
        return state, len(members)

    async def groups(self, prefix: str) -> list[str]:
        """Return the names of the consumer groups that begin so, as far as this user may see."""
        every = await _ask(self._client.list_consumer_groups())
        return sorted(name for name, *_ in every if name.startswith(prefix))

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return what a group has committed of a topic's partitions: none where it never did."""
        found = await _ask(self._client.list_consumer_group_offsets(group))
        return {
            place.partition: each.offset
            for place, each in found.items()
            if place.topic == topic and each.offset >= 0
        }

    async def _describe_group(self, name: str) -> Any:
        for _ in range(_TRIES):
            try:
                return await self._client.describe_consumer_groups([name])
            except errors.GroupCoordinatorNotAvailableError:  # a fresh cluster's first group
                await asyncio.sleep(_PAUSE_SECONDS)
        return await self._client.describe_consumer_groups([name])

    async def _settings(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        answers = await _ask(self._client.describe_configs(resources))
        return {
            name: {entry[0]: entry[1] for entry in entries}
            for answer in answers
            for code, _, _, name, entries in answer.resources
            if not code
        }


def _state(topic: Any, settings: Mapping[str, str]) -> TopicState:
    partitions = topic["partitions"]
    return TopicState(
        partitions=len(partitions),
        replication=min((len(p["replicas"]) for p in partitions), default=0),
        leaderless=[p["partition"] for p in partitions if p["leader"] < 0],
        settings=settings,
    )


async def _ask(question: Any) -> Any:
    """Wait for an answer, within a bound; the library's own waits have none in places."""
    try:
        async with asyncio.timeout(3 * _TIMEOUT_SECONDS):
            return await question
    except (KafkaError, OSError, TimeoutError) as exc:
        raise _meaning(exc) from exc


def _meaning(exc: Exception) -> IngestError:
    name = type(exc).__name__
    if isinstance(
        exc,
        errors.TopicAuthorizationFailedError
        | errors.GroupAuthorizationFailedError
        | errors.ClusterAuthorizationFailedError,
    ):
        return SetupError(f"the broker does not allow this user to do that ({name})")
    return BrokerUnavailableError(f"the broker gave no answer ({name})")
