"""What one sink's pipeline lets be seen: counts for Prometheus, states for /health.

The watch beside it reads it as well: how far each partition is, and what holds it.
"""

import time
from collections.abc import Iterable, Mapping

from ingest_service.errors import Stop
from ingest_service.forward.breaker import State
from ingest_service.telemetry.health import Health, Status
from ingest_service.telemetry.sink_metrics import SinkMetrics
from ingest_service.telemetry.watch import Standing

_TRANSITIONS = ("closed", "half_open", "open")


class SinkObserver:
    """Implements `forward.environment.Observer` for one sink."""

    def __init__(self, sink: str, topic: str, metrics: SinkMetrics, health: Health) -> None:
        self.health = health
        health.expect(sink)
        self.done: dict[int, int] = {}
        self.ends: Mapping[int, int] = {}
        self.faults: dict[int, str] = {}
        self.sink = sink
        self._labels = (sink,)
        self._metrics = metrics
        self._held: dict[str, str] = {}
        self._topic = topic
        metrics.events.add(
            {(sink, status): 0 for status in ("forwarded", "filtered", "dead_lettered")}
        )
        metrics.transitions.add({(sink, state): 0 for state in _TRANSITIONS})
        metrics.backlog.set(self._labels, 0)
        self.pending(0)
        self.expired(0)

    @property
    def held_by(self) -> str | None:
        """Why nothing moves, if there is a known cause: then a restart would not help."""
        return next(iter(self._held.values()), None)

    def requested(self, entries: int, raw_bytes: int, sent_bytes: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._metrics.duration.observe({seconds: 1}, self._labels)
        self._metrics.batch.observe({entries: 1}, self._labels)
        self._metrics.raw_bytes.add({self._labels: raw_bytes})
        self._metrics.sent_bytes.add({self._labels: sent_bytes})

    def retried(self, code: str) -> None:
        """Count a request that will be sent again."""
        self._metrics.retries.add({(self.sink, code): 1})
        self._unavailable(f"requests are tried again ({code})")

    def available(self, seconds: float) -> None:
        """Show that the sink takes what it is sent."""
        self._held.pop("sink", None)
        self._metrics.status.set(self._labels, 1)
        self.health.report(self.sink, Status.HEALTHY, time.monotonic(), latency_seconds=seconds)

    def _unavailable(self, why: str) -> None:
        self._held["sink"] = why
        self._metrics.status.set(self._labels, 0)
        self.health.report(self.sink, Status.UNHEALTHY, time.monotonic(), detail=why)

    def breaker(self, state: State, why: str) -> None:
        """Show the breaker's state."""
        before = self._metrics.breaker.get(self._labels)
        self._metrics.breaker.set(self._labels, state)
        if before is not None:
            self._metrics.transitions.add({(self.sink, state.name.lower()): 1})
        if state is State.OPEN:
            self._unavailable(f"the breaker is open: {why}")

    def settled(self, forwarded: int, filtered: int, delays: Mapping[float, int]) -> None:
        """Count events that the sink has, or that the settings leave out."""
        self._metrics.events.add(
            {(self.sink, "forwarded"): forwarded, (self.sink, "filtered"): filtered}
        )
        self._metrics.delays(delays)

    def dead_lettered(self, code: str) -> None:
        """Count a dead letter."""
        self._metrics.events.add({(self.sink, "dead_lettered"): 1})
        self._metrics.dead_letters.add({(self.sink, code): 1})

    def dead_letters_unavailable(self, why: str | None) -> None:
        """Show whether dead letters can be written."""
        component = f"{self.sink} dead letters"
        if why is None:
            self._held.pop(component, None)
            self.health.report(component, Status.HEALTHY, time.monotonic())
            self.health.forget(component)
        else:
            self._held[component] = why
            self.health.report(component, Status.UNHEALTHY, time.monotonic(), detail=why)

    def pending(self, requests: int) -> None:
        """Show what waits for its acknowledgement."""
        self._metrics.ack_pending.set(self._labels, requests)
        self._held.pop("acks", None)
        if requests:
            self._held["acks"] = "acknowledgements are waited for"

    def expired(self, ranges: int) -> None:
        """Count what was never acknowledged."""
        self._metrics.ack_expired.add({self._labels: ranges})

    def committed(self, partition: int, offset: int) -> None:
        """Show how far the sink is."""
        self.done[partition] = offset
        self._metrics.committed.set(self._place_labels(partition), offset)
        self._show_backlog()

    def end_offsets(self, topic: str, ends: Mapping[int, int]) -> None:
        """Show where the partitions end: the same for every sink."""
        self.ends = ends
        self._metrics.end_offsets(topic, ends)
        self._show_backlog()

    def _show_backlog(self) -> None:
        """Show what waits in each of this worker's partitions, and in all of them."""
        waiting = {n: max(0, self.ends[n] - at) for n, at in self.done.items() if n in self.ends}
        for partition, records in waiting.items():
            self._metrics.lag.set(self._place_labels(partition), records)
        self._metrics.backlog.set(self._labels, sum(waiting.values()))

    def _place_labels(self, partition: int) -> tuple[str, str, str]:
        return (self.sink, self._topic, str(partition))

    def standings(self, now: float) -> Iterable[Standing]:
        """Return where each partition stands."""
        del now
        return [
            Standing(
                name=self.place(partition),
                position=done,
                end=self.ends.get(partition, done),
                cause=self.faults.get(partition) or self.held_by,
            )
            for partition, done in self.done.items()
        ]

    def assigned(self, *, any_partition: bool) -> None:
        """Show that the worker is a member of this sink's group."""
        self.health.joined(self.sink, any_partition=any_partition)

    def oldest(self, kafka_ms: int | None) -> None:
        """Show how old the oldest unsettled record is."""
        age = 0.0 if kafka_ms is None else max(0.0, time.time() - kafka_ms / 1000)
        self._metrics.oldest.set(self._labels, age)

    def partition_stopped(self, partition: int, stop: Stop) -> None:
        """Show a partition that waits for an operator."""
        self.faults[partition] = stop.message
        labels = self._place_labels(partition)
        self._metrics.stopped.forget_all(labels)
        self._metrics.stopped.set((*labels, stop.reason), 1)
        self.health.partition_stopped(self.place(partition), stop.message, time.monotonic())

    def partition_goes_on(self, partition: int) -> None:
        """Show that it does not any more."""
        self.faults.pop(partition, None)
        self._metrics.stopped.forget_all(self._place_labels(partition))
        self.health.forget(self.place(partition))

    def forget_partition(self, partition: int) -> None:
        """Say no more about a partition that another worker has now."""
        self.done.pop(partition, None)
        for gauge in (self._metrics.committed, self._metrics.lag):
            gauge.forget(self._place_labels(partition))
        self.partition_goes_on(partition)
        self.health.liveness.forget(self.place(partition))

    def place(self, partition: int) -> str:
        """Name a partition of this sink's group."""
        return f"{self.sink} partition {partition}"

    def beat(self) -> None:
        """Note that the loop came round."""
        self.health.liveness.beat(self.sink, time.monotonic())
