"""Fixtures for every test: real servers, fresh databases, topic names, and one seed."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from servers import sources
from servers.databases import fresh_database as database_on
from servers.databases import fresh_database_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager

SEED = pytest.StashKey[int]()
# Other tests keep the machine busy: no example fails for the time it takes.
settings.register_profile(
    "beside others", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("beside others")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="repeat a run: seeds fault tests and Hypothesis")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Settle the seed before Hypothesis reads its own option; hear Ctrl-C."""
    given = config.getoption("--seed")
    seed = random.SystemRandom().getrandbits(32) if given is None else given
    # Processes that share the work (pytest-xdist) share the seed of the one that prints it.
    seed = getattr(config, "workerinput", {}).get("seed", seed)
    config.stash[SEED] = seed
    if config.getoption("--hypothesis-seed") is None:
        config.option.hypothesis_seed = str(seed)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A script's `make test &` is deaf to Ctrl-C, and whatever a test starts would be so as well.
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the seed to a process that shares the work."""
    node.workerinput["seed"] = node.config.stash[SEED]


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: --seed={config.stash[SEED]} repeats this run"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Say at each failure how to have it again."""
    report = yield
    if report.failed:
        report.sections.append(("seed", f"--seed={item.config.stash[SEED]}"))
    return report


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> random.Random:
    """Return randomness that is the test's own: the same for one seed, whatever else runs."""
    return random.Random(f"{request.config.stash[SEED]} {request.node.nodeid}")


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """Yield the bootstrap address of the session's broker; it makes no topics by itself."""
    with sources.kafka_bootstrap() as address:
        yield address


@pytest.fixture(scope="session")
def timescale_dsn() -> Iterator[str]:
    """Yield a superuser's DSN to TimescaleDB's maintenance database."""
    with sources.timescale_dsn() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def plain_dsn() -> Iterator[str]:
    """Yield a superuser's DSN to plain PostgreSQL's maintenance database."""
    with sources.plain_dsn() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def community_address() -> Iterator[str]:
    """Yield where TimescaleDB Community makes databases, each at the first use of its name."""
    with sources.community_address() as address:
        yield address


@pytest.fixture
def community_dsn(community_address: str) -> str:
    """Return a superuser's DSN to an empty database on TimescaleDB Community.

    Connections take turns there: close one before the next is opened.
    """
    return f"{community_address}test_{uuid4().hex}"


@pytest.fixture
def fresh_database(
    request: pytest.FixtureRequest,
) -> Callable[[str], AbstractAsyncContextManager[str]]:
    """Return what makes databases of an edition ("timescaledb", "plain"), as context managers."""
    servers = {"timescaledb": "timescale_dsn", "plain": "plain_dsn"}
    return lambda edition: database_on(request.getfixturevalue(servers[edition]))


@pytest.fixture(params=["timescaledb", "plain"])
def database_dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield a superuser's DSN to a fresh, empty database, on each edition in turn."""
    servers = {"timescaledb": "timescale_dsn", "plain": "plain_dsn"}
    with fresh_database_apart(request.getfixturevalue(servers[request.param])) as dsn:
        yield dsn


@pytest.fixture
def topic_name() -> str:
    """Return a topic's name that no other test uses."""
    return f"gateway.audit.events.{uuid4().hex[:12]}"
