"""Apache Kafka's jars: from Maven Central, once, with progress."""

from __future__ import annotations

import logging
import shutil
import threading
from typing import TYPE_CHECKING

from rich.console import Console

from .choose import KAFKA_VERSION
from .state import State

if TYPE_CHECKING:
    from pathlib import Path

# slf4j-simple and not slf4j-nop: with the latter a broker that cannot start says nothing at all.
COORDINATES = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
JARS_EXPECTED = 46
PROGRESS_SECONDS = 0.5


def kafka_class_path(state: State) -> str:
    """Return the class path of Apache Kafka, downloading it first when it is not there."""
    home = state.downloads / f"kafka-{KAFKA_VERSION}"
    if not home.exists():
        state.downloads.mkdir(parents=True, exist_ok=True)
        with State(state.downloads, state.downloads).lock("kafka"):
            if not home.exists():  # another process may have made it while we waited
                _download(state.downloads / "maven", home)
    return f"{home}/*"


def _download(work: Path, home: Path) -> None:
    """Resolve and fetch into `work`, then move the jars to `home` in one step."""
    from jgo.env import EnvironmentBuilder, LinkStrategy  # noqa: PLC0415 - 0.3 s, for the first start
    from jgo.maven import MavenContext  # noqa: PLC0415 - the same

    logging.getLogger("jgo").setLevel(logging.ERROR)
    context = MavenContext(repo_cache=work / "repository")
    builder = EnvironmentBuilder(
        context=context, cache_dir=work / "environments", link_strategy=LinkStrategy.HARD
    )
    with _Progress(work / "repository"):
        environment = builder.from_endpoint(COORDINATES)
    new = home.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    for jar in environment.path.rglob("*.jar"):
        jar.rename(new / jar.name)
    new.rename(home)
    shutil.rmtree(work)


class _Progress:
    """Says on standard error how many jars have come, from a thread of its own."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._done = threading.Event()
        self._console = Console(stderr=True)
        self._thread = threading.Thread(target=self._show, name="download progress", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _show(self) -> None:
        text = f"Downloading Apache Kafka {KAFKA_VERSION} from Maven Central (once)"
        with self._console.status(text) as status:
            if not self._console.is_terminal:
                self._console.print(text)
            while not self._done.wait(PROGRESS_SECONDS):
                jars = [path.stat().st_size for path in self._repository.rglob("*.jar")]
                came = f"{len(jars)} of {JARS_EXPECTED} jars, {sum(jars) / 1e6:.0f} MB"
                status.update(f"{text}: {came}")
