"""Anchors: whoever owns the database cannot write history anew without `verify --anchors` seeing it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
from aiokafka import AIOKafkaConsumer

from ingest_service import ledger
from ingest_service.adapters.kafka_announcement import announce
from ingest_service.adapters.migrations import migrate
from ingest_service.compliance import plan
from ingest_service.compliance.anchor_keys import read_public_keys
from ingest_service.compliance.anchoring import anchor, anchor_by_the_clock, append
from ingest_service.compliance.anchors import read_line
from ingest_service.compliance.findings import Class
from ingest_service.compliance.selection import EVERYTHING, Selection
from ingest_service.compliance.verify import Report, verify
from ingest_service.compliance.witness import read_witness
from ingest_service.errors import BrokerUnavailableError, SetupError
from ingest_service.events.decode import CONTRACT, decode
from ingest_service.originals import pack_originals, unpack_originals
from ingest_service.settings import KafkaSettings
from ingest_service.settings_anchor import AnchorSettings
from logins import login
from schema import COMPLIANCE, OPERATOR, WRITER, connected
from signing import KeyPair, key_pair
from trail import BEGAN, LIMITS, TOPIC, Trail, value
from waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg

    from ingest_service.ledger import Stream

pytestmark = pytest.mark.database

ROWS, ORIGINALS = "gateway_audit_events", "gateway_audit_originals"
LEDGER = "gateway_audit_ledger"
NO_KAFKA = KafkaSettings(bootstrap_servers="127.0.0.1:1")


class Kept(NamedTuple):
    """An honest database, a key, and where anchors go."""

    dsn: str
    owner: asyncpg.Connection
    trail: Trail
    stream: Stream
    keys: KeyPair
    settings: AnchorSettings

    @property
    def file(self) -> Path:
        assert self.settings.file is not None
        return self.settings.file

    async def sign(self) -> None:
        await anchor(self.dsn, NO_KAFKA, self.settings)

    async def verified(self, selection: Selection = EVERYTHING) -> Report:
        trusted = read_public_keys([self.keys.public])
        witness = read_witness(self.file, trusted, selection)
        return await verify(self.dsn, selection, witness=witness)


@pytest.fixture
async def kept(database_dsn: str, tmp_path: Path) -> AsyncIterator[Kept]:
    await migrate(database_dsn)
    keys = key_pair(tmp_path)
    settings = AnchorSettings(key_file=keys.private, file=tmp_path / "anchors.jsonl")
    async with connected(database_dsn) as owner:
        await owner.execute("set session_replication_role = replica")
        trail = Trail(owner)
        stream = await trail.open(partition=0)
        for start in (0, 10, 20):
            await trail.write(stream, [value(n) for n in range(start, start + 10)])
        yield Kept(database_dsn, owner, trail, stream, keys, settings)


def wrong(report: Report) -> dict[Class, list[int]]:
    found: dict[Class, list[int]] = {}
    for finding in report.findings:
        if not finding.kind.is_notice:
            found.setdefault(finding.kind, []).append(finding.offset)
    return found


async def rewrite(kept: Kept, first_sequence: int, old: bytes, new: bytes) -> None:
    """Rewrite history as its owner can: records, rows, digests and hashes, all of it consistent."""
    stream, owner = kept.stream, kept.owner
    entries = await owner.fetch(
        f"select * from {LEDGER} where stream_id = $1 order by sequence", stream.id
    )
    before = entries[first_sequence - 1]
    head = ledger.Head(first_sequence - 1, before["next_offset"], before["digest"], before["hash"])
    for entry in entries[first_sequence:]:
        where = "where stream_id = $1 and sequence = $2"
        packed = await owner.fetchval(
            f"select records from {ORIGINALS} {where}", stream.id, entry["sequence"]
        )
        records = [
            each.record._replace(value=each.record.value.replace(old, new))
            for each in unpack_originals(packed, stream.topic, stream.partition)
        ]
        frames, verdicts = [ledger.frame(each) for each in records], [None] * len(records)
        digest = ledger.extend_digest(head.digest, frames)
        sealed = ledger.records_entry(
            stream.id, head, digest, verdicts,
            ledger.Rules(CONTRACT, ledger.canonical_json(LIMITS._asdict())),
        )  # fmt: skip
        await owner.execute(
            f"update {ORIGINALS} set records = $3 {where}",
            *(stream.id, entry["sequence"], pack_originals(frames, verdicts)),
        )
        await owner.execute(
            f"update {LEDGER} set digest = $3, previous_hash = $4, hash = $5 {where}",
            *(stream.id, entry["sequence"], digest, sealed.previous_hash, sealed.hash),
        )
        for record in records:
            row = decode(record, CONTRACT, LIMITS)
            await owner.execute(
                f"update {ROWS} set reason = $1, decision = $2, user_id = $3"
                " where stream_id = $4 and kafka_offset = $5",
                *(row.reason, row.decision, row.user_id, stream.id, record.offset),
            )
        head = sealed.head


async def test_honest_history_holds_every_anchor(kept: Kept):
    """Signed twice, with more behind: nothing is found, and how far it reaches is said."""
    await kept.sign()
    await kept.trail.write(kept.stream, [value(n) for n in range(30, 35)])
    await kept.sign()
    await kept.trail.write(kept.stream, [value(35)])
    report = await kept.verified()
    assert (report.is_good, report.counts, report.anchors) == (True, {}, 2)
    assert report.streams[0].anchored == 35


async def test_an_owner_who_writes_history_anew_is_found(kept: Kept):
    """Rows, originals, ledger, all consistent: the database alone looks good, the anchors do not."""
    await kept.sign()
    await rewrite(kept, 2, b'"user-1"', b'"nobody"')
    assert (await verify(kept.dsn)).is_good, "else this test tests nothing"
    assert wrong(await kept.verified()) == {Class.ANCHOR_DIFFERS: [30]}


async def test_signing_again_does_not_hide_it(kept: Kept):
    """The persister signs on, over the rewritten history: the earlier anchor contradicts it."""
    await kept.sign()
    await rewrite(kept, 3, b'"user-1"', b'"nobody"')
    await kept.trail.owner_moves_on() if False else None
    await kept.sign()
    report = await kept.verified()
    assert wrong(report) == {Class.ANCHOR_DIFFERS: [30]}
    assert report.anchors == 2


async def test_a_tail_that_was_cut_off_is_found(kept: Kept):
    """The newest entries gone with their rows and originals: a whole chain, but not what was signed."""
    await kept.sign()
    await kept.owner.execute(f"""
        delete from {LEDGER} where sequence = 3;
        delete from {ORIGINALS} where sequence = 3;
        delete from {ROWS} where kafka_offset >= 20""")
    assert (await verify(kept.dsn)).is_good, "else this test tests nothing"
    assert wrong(await kept.verified()) == {Class.ANCHOR_BEYOND: [30]}


async def test_a_stream_that_was_removed_is_found(kept: Kept):
    """Nothing left of a partition is nothing to verify, unless somebody signed it."""
    await kept.sign()
    await kept.owner.execute(f"""
        delete from {LEDGER}; delete from {ORIGINALS}; delete from {ROWS};""")
    assert wrong(await kept.verified()) == {Class.ANCHOR_BEYOND: [30]}
    await kept.owner.execute("delete from gateway_audit_anchors")
    await kept.owner.execute("delete from gateway_audit_streams")
    assert (await verify(kept.dsn)).is_good, "else this test tests nothing"
    assert wrong(await kept.verified()) == {Class.ANCHOR_BEYOND: [30]}


async def test_a_failover_that_cuts_batches_anew_keeps_every_anchor(kept: Kept):
    """Lost entries are written again from Kafka, cut elsewhere: the digest is the same."""
    await kept.sign()
    await kept.owner.execute(f"""
        delete from {LEDGER} where sequence >= 2;
        delete from {ORIGINALS} where sequence >= 2;
        delete from {ROWS} where kafka_offset >= 10""")
    again = Trail(kept.owner)
    again._tails[kept.stream.id] = await entry_of(kept, 1)
    for start, end in ((10, 17), (17, 33)):
        await again.write(kept.stream, [value(n) for n in range(start, end)])
    report = await kept.verified()
    assert report.counts == {}
    assert report.streams[0].anchored == 30, "in the middle of an entry"


async def entry_of(kept: Kept, sequence: int) -> ledger.Entry:
    names = ", ".join(ledger.Entry._fields)
    row = await kept.owner.fetchrow(
        f"select {names} from {LEDGER} where stream_id = $1 and sequence = $2",
        *(kept.stream.id, sequence),
    )
    return ledger.Entry(*row)


async def test_one_time_reaches_to_the_next_anchor(kept: Kept, monkeypatch: pytest.MonkeyPatch):
    """A few seconds are proved by the anchor behind them, without walking from the beginning."""
    monkeypatch.setattr(plan, "PIECE_RECORDS", 10)
    monkeypatch.setattr("ingest_service.compliance.positions.BLOCK_BITS", 14)
    await kept.sign()
    moment = BEGAN.replace(microsecond=0)
    selection = Selection(since=moment, until=moment.replace(second=55))
    report = await kept.verified(selection)
    assert report.is_good
    assert (report.streams[0].anchored, report.streams[0].next_offset) == (30, 30)
    await rewrite(kept, 1, b'"user-1"', b'"nobody"')
    assert wrong(await kept.verified(selection)) == {Class.ANCHOR_DIFFERS: [30]}


async def test_what_nobody_signed_is_said(kept: Kept):
    """A partition without an anchor is a notice: the database is believed about it."""
    await kept.sign()
    other = await kept.trail.open(partition=1)
    await kept.trail.write(other, [value(n) for n in range(100, 103)])
    report = await kept.verified()
    assert (report.is_good, report.counts) == (True, {Class.NOT_ANCHORED: 1})


async def test_forged_anchors_are_findings(kept: Kept, tmp_path: Path):
    """Signed by somebody else, or changed: said by line, and believed in nothing."""
    await kept.sign()
    other = key_pair(tmp_path, "other")
    theirs = AnchorSettings(key_file=other.private, file=kept.file)
    await anchor(kept.dsn, NO_KAFKA, theirs)
    report = await kept.verified()
    assert wrong(report) == {Class.ANCHOR_INVALID: [30]}
    assert report.streams[0].anchored == 30


# --- where anchors are kept ----------------------------------------------------------------------


async def test_the_database_is_told_what_was_signed(kept: Kept):
    """Writer and operator may note it; compliance sees it; nobody of them may change it."""
    for role in (WRITER, OPERATOR):
        async with login(kept.owner, kept.dsn, role) as dsn:
            await anchor(dsn, NO_KAFKA, kept.settings)
            async with connected(dsn) as session:
                with pytest.raises(Exception, match="permission denied"):
                    await session.execute("delete from gateway_audit_anchors")
    async with login(kept.owner, kept.dsn, COMPLIANCE) as dsn, connected(dsn) as session:
        rows = await session.fetch("select * from audit_anchors order by signed_at")
    lines = [read_line(text) for text in kept.file.read_bytes().splitlines()]
    assert [(row["topic"], row["next_offset"], row["digest"]) for row in rows] == [
        (each.anchor.topic, each.anchor.next_offset, each.anchor.digest) for each in lines
    ]
    assert [(row["key"], row["signature"]) for row in rows] == [each[1:] for each in lines]


@pytest.mark.kafka
async def test_anchors_travel_as_audit_events(kept: Kept, kafka_bootstrap: str, topic_name: str):
    """Published to a topic each is an audit event, which the forwarder takes to every sink."""
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic_name, 2, 1)])
    await admin.close()
    kafka = KafkaSettings(bootstrap_servers=kafka_bootstrap)
    where = AnchorSettings(key_file=kept.keys.private, topic=topic_name)
    signed = await anchor(kept.dsn, kafka, where)
    async with AIOKafkaConsumer(
        topic_name, bootstrap_servers=kafka_bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        record = await asyncio.wait_for(consumer.getone(), 20)
    assert read_line(record.value) == signed[0]
    kept.file.write_bytes(record.value + b"\n")
    assert (await kept.verified()).streams[0].anchored == 30


async def test_a_broker_that_is_away_leaves_the_file(kept: Kept):
    """The places are told one after another: what the file has stays there, and the error is told."""
    where = kept.settings.model_copy(update={"topic": "t"})
    with pytest.raises(BrokerUnavailableError):
        await anchor(kept.dsn, NO_KAFKA, where)
    assert (await kept.verified()).streams[0].anchored == 30
    assert await kept.owner.fetchval("select count(*) from gateway_audit_anchors") == 0


async def test_announcing_to_no_broker_ends(topic_name: str):
    """A dead broker is an error, not a wait without end."""
    with pytest.raises(BrokerUnavailableError):
        await announce(NO_KAFKA, topic_name, [(b"k", b"v")])


async def test_the_clock_signs_what_is_owned_and_goes_on(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
):
    """Nothing owned: nothing signed; a file that cannot be written is tried again; then it is."""
    for name in ("_RETRY_SECONDS", "_LOOK_SECONDS"):
        monkeypatch.setattr(f"ingest_service.compliance.anchoring.{name}", 0.01)
    other = await kept.trail.open(partition=1)
    await kept.trail.write(other, [value(n) for n in range(100, 103)])
    owned: list[int] = []
    kept.file.mkdir()
    task = asyncio.create_task(
        anchor_by_the_clock(kept.dsn, NO_KAFKA, kept.settings, lambda: owned)
    )
    try:
        await asyncio.wait({task}, timeout=0.2)
        owned.append(1)
        await asyncio.wait({task}, timeout=0.2)
        kept.file.rmdir()
        await until(kept.file.exists)
        await until(lambda: kept.file.read_bytes().endswith(b"\n"))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    [text] = kept.file.read_bytes().splitlines()
    assert read_line(text).anchor.partition == 1


def test_lines_are_not_glued_to_one_that_was_cut_off(tmp_path: Path):
    """A line that a crash cut in two costs itself alone."""
    path = tmp_path / "anchors"
    path.write_bytes(b"cut")
    append(path, [b"a\n", b"b\n"])
    append(path, [b"c\n"])
    assert path.read_bytes() == b"cut\na\nb\nc\n"


def test_a_full_disk_leaves_the_file_as_it_was():
    """All lines or none: half a line would be a finding for ever."""
    with pytest.raises(SetupError, match="cannot be written"):
        append(__import__("pathlib").Path("/dev/full"), [b"a\n"])


# --- the command ---------------------------------------------------------------------------------


def command(kept: Kept, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `ingest-service`."""
    clean = {name: text for name, text in os.environ.items() if "INGEST_" not in name}
    return subprocess.run(
        [sys.executable, "-m", "ingest_service", *arguments],
        env=clean | {"INGEST_DATABASE__DSN": kept.dsn} | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_commands_sign_and_prove(kept: Kept, tmp_path: Path):
    """As a user does it: sign, prove, be rewritten, be told."""
    said = await asyncio.to_thread(
        command, kept, "anchor", "--key", str(kept.keys.private), "--to", str(kept.file)
    )
    assert (said.returncode, said.stderr) == (0, "")
    assert "1 heads signed by key" in said.stdout
    proof = "verify", "--anchors", str(kept.file), "--public-key", str(kept.keys.public)
    good = await asyncio.to_thread(command, kept, *proof)
    assert (good.returncode, "anchored up to 30" in good.stdout) == (0, True)
    await rewrite(kept, 1, b'"user-1"', b'"nobody"')
    bad = await asyncio.to_thread(command, kept, *proof, "--json")
    assert bad.returncode == 1
    assert json.loads(bad.stdout)["first_bad"]["class"] == "anchor differs"
    noted = await kept.owner.fetch("select result, anchors from gateway_audit_verifications")
    assert [tuple(row) for row in noted] == [("good", 1), ("bad", 1)]


async def test_command_takes_its_settings_or_prints(kept: Kept):
    """The settings of the persister serve the command; `--to -` keeps no file."""
    configured = {
        "INGEST_ANCHOR__KEY_FILE": str(kept.keys.private),
        "INGEST_ANCHOR__FILE": str(kept.file),
    }
    assert (await asyncio.to_thread(command, kept, "anchor", **configured)).returncode == 0
    size = kept.file.stat().st_size
    printed = await asyncio.to_thread(command, kept, "anchor", "--to", "-", **configured)
    assert read_line(printed.stdout.encode()).anchor.topic == TOPIC
    assert kept.file.stat().st_size == size


async def test_command_says_what_is_missing(kept: Kept, tmp_path: Path):
    """No key, no place, a key of another kind: one message, exit code 2."""
    for arguments, word in (
        ([], "INGEST_ANCHOR__KEY_FILE is not set"),
        (["--key", str(kept.keys.private)], "say where to keep them"),
        (["--key", str(kept.keys.public), "--to", "-"], "no private Ed25519 key"),
        (["--key", str(kept.keys.private), "--to", "/none/way"], "cannot be written"),
    ):
        said = await asyncio.to_thread(command, kept, "anchor", *arguments)
        assert (said.returncode, said.stdout) == (2, ""), said.stderr
        assert word in said.stderr


async def test_command_on_an_empty_ledger_says_so(database_dsn: str, tmp_path: Path):
    """Before the first record there is nothing to sign."""
    await migrate(database_dsn)
    keys = key_pair(tmp_path)
    async with connected(database_dsn) as owner:
        kept = Kept(database_dsn, owner, Trail(owner), None, keys, AnchorSettings())
        said = await asyncio.to_thread(
            command, kept, "anchor", "--key", str(keys.private), "--to", str(tmp_path / "a")
        )
    assert (said.returncode, "nothing to sign" in said.stdout) == (0, True)
