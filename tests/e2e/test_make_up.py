"""`make up`, really run: what a newcomer sees, and what is left after."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import asyncpg
import psutil
import pytest

from servers import prometheus, sources
from stack import compose
from stack.process import lives
from stack.state import REPOSITORY, State

LOCAL = REPOSITORY / "deploy" / "local"
FLOW = re.compile(r"published ([\d,]+) · rows ([\d,]+) · quarantined ([\d,]+) · lag ([\d,]+)")
SINKS = re.compile(r"Splunk ([\d,]+) · Datadog ([\d,]+)")
SAMPLES = 3000
PASSWORDS = ("superuser", "ingest_writer", "splunk_token", "datadog_key")
PRODUCT_NAMES = ("up", "publish", "persist", "forward", "siem", "kafka", "postgres")

pytestmark = [pytest.mark.e2e, pytest.mark.kafka, pytest.mark.database]


class Up:
    """One `make up`, read line by line."""

    def __init__(
        self, state: Path, stderr: int = subprocess.STDOUT, stack: str = "embedded"
    ) -> None:
        self.state = State(state, state / "downloads")
        # A session of its own, so that the signal reaches what a terminal would reach.
        self.process = subprocess.Popen(
            [sys.executable, str(LOCAL / "up.py")],
            env=environment(state, stack),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        self.said: list[str] = []

    def wait_for_rows(self, more_than: int = 0) -> int:
        """Read on until more rows than that are shown, and return how many."""
        for line in self.process.stdout:
            self.said.append(line)
            if (flow := FLOW.search(line)) and number(flow[2]) > more_than:
                return number(flow[2])
        raise AssertionError("".join(self.said))

    def wait_until_all_have(self, at_least: int) -> None:
        """Read on until the table and both sinks have all that was published, and so many."""
        for line in self.process.stdout:
            self.said.append(line)
            if flow := FLOW.search(line):
                published, rows, quarantined, _ = (number(n) for n in flow.groups())
                sinks = {number(n) for n in SINKS.search(line).groups()}
                if sinks == {published} == {rows + quarantined} and published >= at_least:
                    return
        raise AssertionError("".join(self.said))

    def ctrl_c(self) -> int:
        """Press Ctrl-C as a terminal does, and return the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.said += self.process.communicate(timeout=60)[0].splitlines(keepends=True)
        return self.process.returncode


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="ingest-test-"))
    downloads = State.shared().downloads
    downloads.mkdir(parents=True, exist_ok=True)
    (root / "downloads").symlink_to(downloads)
    try:
        yield root
    finally:
        down(root, "--clean")
        shutil.rmtree(root)


def test_events_become_rows_and_ctrl_c_leaves_nothing(state: Path):
    """The one command ends in rows; Ctrl-C ends it with 0 and no process of it lives on."""
    up = Up(state)
    try:
        up.wait_for_rows()
        family = psutil.Process(up.process.pid).children(recursive=True)
        names = {name for name in PRODUCT_NAMES if up.state.pid_file(name).exists()}
    finally:
        code = up.ctrl_c()
    assert names == set(PRODUCT_NAMES)
    assert code == 0, "".join(up.said)
    assert [process for process in family if lives(process)] == []


def test_prometheus_scrapes_both_workers_with_the_rules_loaded(state: Path):
    """The address that is said answers, its targets are up, and the watchdog fires."""
    prometheus.programs()
    up = Up(state)
    try:
        up.wait_for_rows()
        page, address = re.search(r"((http://[\d.:]+)/\S*alerts) ", "".join(up.said)).groups()
        with urlopen(page) as shown:
            assert b"Alerts" in shown.read()
        targets = asked(address, 'up{job=~"ingest-.*"} == 1', at_least=2)
        assert {each["metric"]["job"] for each in targets} == {
            "ingest-persister",
            "ingest-forwarder",
        }
        assert asked(address, 'ALERTS{alertname="Watchdog", alertstate="firing"}')
    finally:
        code = up.ctrl_c()
    assert code == 0, "".join(up.said)


def test_the_table_and_both_sinks_get_every_event(state: Path):
    """All that was published in this folder's life is shown as rows, at Splunk, at Datadog."""
    up = Up(state)
    try:
        up.wait_until_all_have(at_least=SAMPLES)
    finally:
        code = up.ctrl_c()
    assert code == 0, "".join(up.said)


async def test_a_second_start_is_quick_and_goes_on_where_the_first_ended(state: Path):
    """Rows of the first run are there, more come, and the persister is no superuser."""
    first = Up(state)
    rows = first.wait_for_rows()
    assert first.ctrl_c() == 0
    began = time.monotonic()
    second = Up(state)
    try:
        # The first may have written more on its way out: only what comes now is this one's.
        before = second.wait_for_rows()
        assert before >= rows
        second.wait_for_rows(before)
        seconds = time.monotonic() - began
        connection = await asyncpg.connect(second.state.kept("dsn"))
        users = await connection.fetch(
            "select distinct usename, usesuper from pg_stat_activity join pg_user using (usename)"
            " where application_name ~ 'persist'"
        )
        await connection.close()
    finally:
        assert second.ctrl_c() == 0
    assert [tuple(user) for user in users] == [("ingest_writer", False)]
    assert seconds < 60  # 15 on an idle machine; this one may run a whole test suite beside it


def test_reader_that_goes_away_ends_it_as_ctrl_c_does(state: Path):
    """`make up | head` stops clean: no traceback, and no process of it lives on."""
    up = Up(state, stderr=subprocess.PIPE)
    up.wait_for_rows()
    family = psutil.Process(up.process.pid).children(recursive=True)
    up.process.stdout.close()
    with up.process.stderr as errors:
        assert errors.read() == ""
    assert up.process.wait(60) == 0
    assert [process for process in family if lives(process)] == []


def test_a_start_beside_a_running_one_says_so_and_down_stops_it(state: Path):
    """Nothing is started twice; `make down` ends the first one clean."""
    up = Up(state)
    up.wait_for_rows()
    beside = subprocess.run(
        [sys.executable, str(LOCAL / "up.py")],
        env=environment(state),
        check=False,
        capture_output=True,
        text=True,
    )
    assert (beside.returncode, "runs already" in beside.stdout) == (0, True)
    assert "up" in down(state)
    up.said += up.process.communicate(timeout=60)[0].splitlines(keepends=True)
    assert up.process.returncode == 0, "".join(up.said)


async def test_containers_run_the_same_and_go_with_their_data(tmp_path: Path):
    """STACK=docker ends in rows too; then no container is left, and after `down` no data."""
    sources.need_compose()
    up = Up(tmp_path, stack="docker")
    try:
        up.wait_for_rows()
        connection = await asyncpg.connect(up.state.kept("dsn"))
        query = "select count(*) from pg_extension where extname = 'timescaledb'"
        extensions = await connection.fetchval(query)
        await connection.close()
        running = docker(up.state, "ps", "--quiet")
    finally:
        assert up.ctrl_c() == 0, "".join(up.said)
        left = docker(up.state, "ps", "--all", "--quiet")
        kept = docker(up.state, "volume", "ls", "--quiet")
        down(tmp_path, "--clean")
    assert (extensions, len(running), left, len(kept)) == (1, 2, [], 2)
    assert docker(up.state, "volume", "ls", "--quiet") == []


def test_no_password_is_shown(state: Path):
    """Neither the terminal nor a log holds a password of the local servers."""
    up = Up(state)
    up.wait_for_rows()
    passwords = [up.state.password(name) for name in PASSWORDS]
    assert up.ctrl_c() == 0
    told = "".join(up.said) + "".join(log.read_text() for log in (state / "logs").glob("*.log"))
    assert [password for password in passwords if password in told] == []


def asked(address: str, query: str, at_least: int = 1) -> list[dict[str, object]]:
    """Return Prometheus' answer once it has so many series."""
    deadline = time.monotonic() + 40
    while True:
        with urlopen(f"{address}/api/v1/query?{urlencode({'query': query})}") as answer:
            found = json.load(answer)["data"]["result"]
        if len(found) >= at_least:
            return found
        assert time.monotonic() < deadline, query
        time.sleep(0.2)


def environment(state: Path, stack: str = "embedded") -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("INGEST_", "KAFKA_"))}
    chosen = {
        "STACK": stack,
        "INGEST_STATE_DIR": str(state),
        "SAMPLES": str(SAMPLES),
        "RATE": "300",
    }
    return {**kept, **chosen}


def down(state: Path, *arguments: str) -> str:
    command = [sys.executable, str(LOCAL / "down.py"), *arguments]
    done = subprocess.run(
        command, env=environment(state), check=True, capture_output=True, text=True
    )
    return done.stdout


def docker(state: State, *words: str) -> list[str]:
    """Return what docker lists of the containers or volumes of this state folder."""
    project = f"label=com.docker.compose.project={compose.project(state)}"
    command = ["docker", *words, "--filter", project]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def number(shown: str) -> int:
    return int(shown.replace(",", ""))
