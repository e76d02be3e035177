"""One sink's pipeline against a SIEM that does everything a SIEM may do: nothing is ever lost."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from fakes.forwarding import TOPIC, Bench
from given_events import GOOD
from ingest_service.forward.beginning import Beginning
from siem import Fault, SplunkSettings, stand_in
from waiting import until

if TYPE_CHECKING:
    from siem import Intake

SINKS = ["splunk", "datadog"]
REFUSED = "refuse-me"


def event(number: int, **fields: object) -> bytes:
    identity = f"0190a3c2-7b1e-7c3d-8f2a-{number:012x}"
    return json.dumps({**GOOD, "id": identity, **fields}).encode()


def events(count: int, first: int = 0) -> list[bytes]:
    return [event(number) for number in range(first, first + count)]


def intake(bench: Bench, sink: str) -> Intake:
    return bench.siem.splunk if sink == "splunk" else bench.siem.datadog


def arrived(bench: Bench, sink: str, partition: int = 0) -> list[int]:
    """Return the offsets that the sink has, each once."""
    ranges = intake(bench, sink).arrived.offsets(TOPIC, partition)
    return [offset for first, last in ranges for offset in range(first, last + 1)]


def everywhere(bench: Bench, sink: str, partition: int = 0) -> list[int]:
    """Return the offsets that are at the sink or in the dead letters."""
    dead = [x.record.offset for x in bench.letters.letters if x.record.partition == partition]
    return sorted({*arrived(bench, sink, partition), *dead})


@pytest.mark.parametrize("sink", SINKS)
async def test_every_event_arrives_once_and_is_committed(bench: Bench, sink: str) -> None:
    """Two partitions, several batches: each record arrives, none twice, all committed."""
    bench.put(*events(3000))
    bench.put(*events(700, 5000), partition=1)
    async with bench.forwarder(sink) as forwarder:
        await bench.drained()
    assert arrived(bench, sink) == list(range(3000))
    assert arrived(bench, sink, 1) == list(range(700))
    assert intake(bench, sink).arrived.repeated == 0
    assert forwarder.counted("sark_siem_forwards_total", status="forwarded") == 3700
    assert forwarder.counted("sark_siem_raw_bytes_total") > 3700 * 300
    assert forwarder.counted("sark_siem_connection_status") == 1


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500, times=6),
        Fault(status=503, times=6),
        Fault(status=429, times=6),
        Fault(status=429, times=2, headers={"Retry-After": "0"}),
        Fault(status=429, times=1, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        Fault(status=404, times=3),
        Fault(status=200, body="<html>a proxy's page</html>", times=2),
        Fault(cut=20, times=3),
        Fault(cut=20, reset=True, times=3),
        Fault(cut_request=100, times=3),
        Fault(status=307, headers={"Location": "http://127.0.0.1:1/"}, times=2),
    ],
    ids=lambda fault: f"{fault.status or 'cut'}-{fault.times}",
)
async def test_passing_trouble_loses_nothing(bench: Bench, sink: str, fault: Fault) -> None:
    """Whatever a request meets, it is sent again until the sink says that it has it."""
    bench.put(*events(250))
    intake(bench, sink).script.add(fault)
    async with bench.forwarder(sink):
        await bench.drained()
    assert arrived(bench, sink) == list(range(250))
    assert not bench.letters.letters


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize(
    "places", [[0], [57], [119], [3, 4, 60, 119], list(range(120))], ids=lambda p: str(len(p))
)
async def test_refused_events_are_dead_lettered_and_no_others(
    bench: Bench, sink: str, places: list[int]
) -> None:
    """First, middle, last, several or all: those are dead letters, the others are at the sink."""
    bench.put(*(event(n, reason=REFUSED if n in places else "fine") for n in range(120)))
    if sink == "splunk":
        fault = Fault(code=6, match=REFUSED, times=0)
    else:
        fault = Fault(status=400, match=REFUSED, times=0)
    intake(bench, sink).script.add(fault)
    async with bench.forwarder(sink) as forwarder:
        await bench.drained()
    assert sorted(x.record.offset for x in bench.letters.letters) == places
    assert [n for n in arrived(bench, sink) if n < 120] == [
        n for n in range(120) if n not in places
    ]
    assert bench.letters.letters[0].record.value == event(places[0], reason=REFUSED)
    counted = forwarder.counted("sark_siem_forwards_total", status="dead_lettered")
    assert counted == len(places)


@pytest.mark.parametrize(
    ("sink", "fault"),
    [
        ("splunk", Fault(code=4, times=7)),
        ("splunk", Fault(code=2, times=7)),
        ("splunk", Fault(status=400, body={"text": "Incorrect index", "code": 7}, times=7)),
        ("datadog", Fault(status=403, times=7)),
        ("datadog", Fault(status=400, times=40)),
    ],
    ids=["token", "authorization", "index", "key", "refuses all"],
)
async def test_our_own_mistake_drops_nothing(bench: Bench, sink: str, fault: Fault) -> None:
    """While we are set up wrongly the breaker is open and offsets are held; then all arrives."""
    bench.put(*events(150))
    intake(bench, sink).script.add(fault)
    async with bench.forwarder(sink) as forwarder:
        await bench.drained()
    assert arrived(bench, sink) == list(range(150))
    assert not bench.letters.letters
    opened = forwarder.counted("sark_siem_circuit_breaker_transitions_total", to="open")
    assert opened >= 1


@pytest.mark.parametrize("sink", SINKS)
async def test_open_breaker_holds_offsets_and_keeps_polling(bench: Bench, sink: str) -> None:
    """While the sink is away nothing is committed, the membership is kept, and the cause is said."""
    bench.put(*events(500))
    intake(bench, sink).script.add(Fault(status=503, times=0))
    async with bench.forwarder(sink) as forwarder:
        opened = "sark_siem_circuit_breaker_transitions_total"
        await until(lambda: forwarder.counted(opened, to="open") >= 2)
        fetches = forwarder.source.fetches
        await until(lambda: forwarder.source.fetches > fetches + 5)
        assert forwarder.observer.held_by
        assert set(bench.broker.committed.values()) <= {0}
        intake(bench, sink).script.clear()
        await bench.drained()
    assert arrived(bench, sink) == list(range(500))


@pytest.mark.parametrize("sink", SINKS)
async def test_request_that_is_too_large_is_sent_in_pieces(bench: Bench, sink: str) -> None:
    """413 halves a request; one event that is too large alone is dead-lettered."""
    bench.put(*events(64), event(64, reason=REFUSED))
    intake(bench, sink).script.add(
        Fault(status=413, times=3), Fault(status=413, match=REFUSED, times=0)
    )
    async with bench.forwarder(sink):
        await bench.drained()
    assert arrived(bench, sink) == list(range(64))
    assert [x.record.offset for x in bench.letters.letters] == [64]


@pytest.mark.parametrize("sink", SINKS)
async def test_event_larger_than_a_batch_neither_stops_nor_vanishes(
    bench: Bench, sink: str
) -> None:
    """It goes alone, or to the dead letters with a marked stand-in in its place."""
    large = event(1, metadata={"params": "x" * 1_040_000})
    bench.put(event(0), large, event(2))
    async with bench.forwarder(sink):
        await bench.drained()
    assert everywhere(bench, sink) == [0, 1, 2]


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("value", [b"", None, b"{", b"\xff\xfe", b'{"a":1}garbage', b"[]", b"null"])
async def test_malformed_record_is_no_stop(bench: Bench, sink: str, value: bytes | None) -> None:
    """What is no event is forwarded as a string, or dead-lettered; its neighbours arrive."""
    bench.put(event(0), value, event(2))
    async with bench.forwarder(sink):
        await bench.drained()
    assert everywhere(bench, sink) == [0, 1, 2]
    assert {0, 2} <= set(arrived(bench, sink))


async def test_dead_letter_topic_away_holds_offsets(bench: Bench) -> None:
    """A refused record has nowhere to go: nothing passes until it has."""
    bench.put(event(0, reason=REFUSED), *events(20, 1))
    bench.siem.splunk.script.add(Fault(code=6, match=REFUSED, times=0))
    bench.letters.away = True
    async with bench.forwarder() as forwarder:
        await until(
            lambda: (
                "splunk dead letters" in str(forwarder.observer.held_by or "")
                or forwarder.observer.held_by == "away"
            )
        )
        assert set(bench.broker.committed.values()) <= {0}
        bench.letters.away = False
        await bench.drained()
        await until(lambda: forwarder.observer.held_by is None)
    assert bench.letters.values == [event(0, reason=REFUSED)]


async def test_one_sink_that_hangs_does_not_delay_the_other(bench: Bench) -> None:
    """Each sink has its own offsets and its own breaker."""
    bench.siem.datadog.script.add(Fault(status=503, times=0))
    other = Bench(bench.siem, letters=bench.letters)
    other.broker.logs = bench.broker.logs
    bench.put(*events(300))
    async with bench.forwarder("splunk"), other.forwarder("datadog"):
        await bench.drained(5)
        assert other.behind == 300
        bench.siem.datadog.script.clear()
        await other.drained()
    assert arrived(bench, "datadog") == list(range(300))


async def test_rebalance_with_requests_in_flight_loses_nothing(bench: Bench) -> None:
    """What was in flight is void for its old owner and sent again by the new one."""
    bench.put(*events(800))
    bench.put(*events(800, 1000), partition=1)
    bench.siem.splunk.script.add(Fault(delay=0.05, times=6))
    async with bench.forwarder() as first:
        await until(lambda: bench.siem.splunk.arrived.requests or first.source.fetches > 3)
        async with bench.forwarder():
            bench.put(*events(400, 3000))
            await bench.drained()
        bench.put(*events(10, 4000), partition=1)
        await bench.drained()
    assert arrived(bench, "splunk") == list(range(1200))
    assert arrived(bench, "splunk", 1) == list(range(810))


async def test_quiet_topic_is_sent_after_the_linger(bench: Bench) -> None:
    """One event does not wait for ninety-nine more."""
    async with bench.forwarder():
        bench.put(event(0))
        await bench.drained(5)
    assert bench.siem.splunk.arrived.requests == 1


async def test_flush_sends_what_has_gathered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGUSR1 does not wait for the linger; nor does the end."""
    monkeypatch.setattr("ingest_service.forward.batching.LINGER_SECONDS", 60.0)
    async with bench.forwarder() as forwarder:
        bench.put(*events(3))
        await until(lambda: forwarder.observer.done)
        await until(lambda: forwarder.pipeline._reader.gathering.spans)
        assert bench.behind == 3
        forwarder.pipeline.flush()
        await bench.drained(5)
        bench.put(event(3))
        await until(lambda: forwarder.pipeline._reader.gathering.spans)
    assert bench.behind == 0
    assert arrived(bench, "splunk") == [0, 1, 2, 3]


async def test_records_that_a_fetch_forgot_are_asked_for_again(bench: Bench) -> None:
    """After an error aiokafka is past records that it never handed out: none is skipped."""
    bench.put(*events(30))
    bench.broker.dropped_once = {(0, 7), (0, 8), (0, 29), (0, 0)}
    async with bench.forwarder():
        await bench.drained()
    assert arrived(bench, "splunk") == list(range(30))


async def test_offset_that_no_record_has_is_passed(bench: Bench) -> None:
    """A transaction's marker takes an offset: asked for twice, it is no record of ours."""
    bench.put(*events(10))
    del bench.broker.logs[0][4:6]
    async with bench.forwarder():
        await bench.drained()
    assert arrived(bench, "splunk") == [0, 1, 2, 3, 6, 7, 8, 9]


async def test_broker_that_is_away_is_waited_for(bench: Bench) -> None:
    """Neither opening a partition nor committing ends the worker."""
    bench.broker.available = False
    bench.put(*events(10))
    async with bench.forwarder() as forwarder:
        await until(lambda: forwarder.source.assigned)
        bench.broker.available = True
        await bench.drained()
        bench.broker.available = False
        bench.put(*events(10, 10))
        bench.broker.available = True
        await bench.drained()
    assert arrived(bench, "splunk") == list(range(20))


@pytest.mark.parametrize(
    ("beginning", "expected"),
    [
        (Beginning("earliest"), [0, 1, 2, 3, 4, 5]),
        (Beginning("latest"), [4, 5]),
        (Beginning(1_700_000_000_501), [2, 3, 4, 5]),
        (Beginning(1_800_000_000_000), [4, 5]),
    ],
)
async def test_new_sink_begins_where_it_is_told(
    bench: Bench, beginning: Beginning, expected: list[int]
) -> None:
    """The place is committed at once, so that a restart does not choose another one."""
    bench.put(*events(4))
    log = bench.broker.logs[0]
    log[2:] = [record._replace(timestamp=1_700_000_000_501) for record in log[2:]]
    async with bench.forwarder(beginning=beginning):
        await until(lambda: len(bench.broker.committed) == 2)
    bench.put(*events(2, 4))
    async with bench.forwarder():
        await bench.drained()
    assert arrived(bench, "splunk") == expected


async def test_partition_whose_next_record_left_kafka_stops_alone(bench: Bench) -> None:
    """It says which records, its neighbour goes on, and an operator's word takes it past."""
    bench.put(*events(10))
    bench.put(*events(5, 100), partition=1)
    bench.broker.committed = {0: 2, 1: 0}
    bench.broker.starts[0] = 6
    async with bench.forwarder() as forwarder:
        await until(lambda: bench.broker.committed[1] == 5)
        assert "records 2 to 5 have left Kafka" in forwarder.observer.faults[0]
        assert bench.broker.committed[0] == 2
    async with bench.forwarder(beginning=Beginning(accept_gap=True)):
        await bench.drained()
    assert arrived(bench, "splunk") == [6, 7, 8, 9]


async def test_topic_made_again_stops_the_partition(bench: Bench) -> None:
    """A log that ends before the committed offset is another log."""
    bench.put(*events(3))
    bench.broker.committed = {0: 50, 1: 0}
    async with bench.forwarder() as forwarder:
        await until(lambda: 0 in forwarder.observer.faults)
        assert "made again" in forwarder.observer.faults[0]


async def test_position_lost_while_running_is_said(bench: Bench) -> None:
    """Retention that overtakes a sink stops the partition with the records' numbers."""
    bench.put(*events(3))
    async with bench.forwarder() as forwarder:
        await bench.drained()
        bench.broker.starts[0] = 9
        bench.put(*events(10, 3))
        await until(lambda: 0 in forwarder.observer.faults)
        assert "records 3 to 8 have left Kafka" in forwarder.observer.faults[0]


@pytest.fixture
async def acking(impatient: None):
    async with stand_in(splunk=SplunkSettings(ack=True)) as siem:
        yield Bench(siem)


async def test_acknowledged_events_are_committed(acking: Bench) -> None:
    """With indexer acknowledgement an offset passes when the indexer has it, not before."""
    acking.put(*events(1200))
    async with acking.forwarder() as forwarder:
        await acking.drained()
        assert forwarder.counted("sark_siem_ack_pending") == 0
    assert arrived(acking, "splunk") == list(range(1200))


async def test_acknowledgement_that_never_comes_is_sent_again(
    acking: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the indexer lost is fetched from Kafka once more, and counted."""
    monkeypatch.setattr("ingest_service.forward.pipeline._ACK_SECONDS", 0.3)
    acking.siem.splunk.script.add(Fault(lose=True, times=1))
    acking.put(*events(1200))
    async with acking.forwarder() as forwarder:
        await acking.drained()
    assert forwarder.counted("sark_siem_ack_expired_total") >= 1
    assert arrived(acking, "splunk") == list(range(1200))


async def test_bug_ends_the_pipeline_and_keeps_the_offsets(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown exception is nobody's to survive: the worker ends, nothing is committed."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ingest_service.forward.sinks.splunk.Splunk.judge", broken)
    bench.put(event(0))
    with pytest.raises(BaseExceptionGroup):
        async with bench.forwarder() as forwarder:
            await asyncio.wait({forwarder.task}, timeout=10)
    assert bench.behind == 1
