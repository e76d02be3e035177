"""Where Prometheus, promtool, Alertmanager and amtool come from: one place decides.

On the PATH; else unpacked from Debian's packages, which takes seconds and no root; else built by
Go, which takes minutes and is done only when somebody asks (`make prometheus`). Debian's is an old
one (2.42), Go's the newest: the rules are tested with each that is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .state import State

if TYPE_CHECKING:
    from collections.abc import Callable

GO_VERSION = "v0.316.0"  # of Go's module; Prometheus 3.16 to everybody else
PACKAGES = ("prometheus", "prometheus-alertmanager")
DOWNLOAD_SECONDS = 120
_DEBIAN, _GO = "prometheus-debian", f"prometheus-go-{GO_VERSION}"


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with `prometheus` and `promtool`, and how it was come by."""

    folder: Path
    origin: str

    def program(self, *names: str) -> Path | None:
        """Return the first of these programs that is there."""
        paths = (self.folder / name for name in names)
        return next((path for path in paths if os.access(path, os.X_OK)), None)

    @property
    def is_whole(self) -> bool:
        """Whether a server and a rule checker are there."""
        return bool(self.program("prometheus") and self.program("promtool"))

    @property
    def web_assets(self) -> Path | None:
        """Where Debian keeps the page, apart from the program."""
        folder = self.folder.parent / "share" / "prometheus" / "web"
        return folder if folder.is_dir() else None


def found(state: State) -> list[Programs]:
    """Return what is there already, the best for a person first."""
    on_path = shutil.which("prometheus")
    places = [] if on_path is None else [Programs(Path(on_path).parent, "on the PATH")]
    places += [_debian(state), _go(state)]
    return [programs for programs in places if programs.is_whole]


def had_quickly(state: State) -> Programs | None:
    """Return Prometheus, downloaded when that takes seconds; None where it would take longer."""
    there = found(state)
    return there[0] if there else unpacked(state)


def unpacked(state: State) -> Programs | None:
    """Unpack Debian's packages into the downloads, once; None where there is no apt-get."""
    programs = _debian(state)
    if not all(shutil.which(name) for name in ("apt-get", "dpkg-deb")):
        return None
    return programs if _made(state, programs, _unpack) else None


def built(state: State) -> Programs | None:
    """Build with Go into the downloads, once; None where there is no Go."""
    programs = _go(state)
    if shutil.which("go") is None:
        return None
    return programs if _made(state, programs, _build) else None


def _debian(state: State) -> Programs:
    folder = state.downloads / _DEBIAN / "usr" / "bin"
    return Programs(folder, "Debian's package")


def _go(state: State) -> Programs:
    return Programs(state.downloads / _GO / "bin", f"{GO_VERSION}, built by Go")


def _made(state: State, programs: Programs, make: Callable[[Path], bool]) -> bool:
    """Make the programs in one step, whoever else wants them at the same time."""
    home = state.downloads / programs.folder.relative_to(state.downloads).parts[0]
    with State(state.downloads, state.downloads).lock(home.name):
        if programs.is_whole:
            return True
        with tempfile.TemporaryDirectory(prefix=f"{home.name}-", dir=state.downloads) as new:
            content = Path(new, home.name)
            if not make(content):
                return False
            shutil.rmtree(home, ignore_errors=True)
            content.rename(home)
    return programs.is_whole


def _unpack(content: Path) -> bool:
    work = content.parent
    if not (_download(work) or _download(work, lists=work / "lists")):
        return False
    return all(
        _succeeds(["dpkg-deb", "--extract", str(package), str(content)], work)
        for package in work.glob("*.deb")
    )


def _download(work: Path, lists: Path | None = None) -> bool:
    """Fetch the packages by the machine's package lists, or by fresh ones of our own."""
    (work / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    command = ["apt-get", "--quiet=2", "-o", f"Dir::Cache={work / 'cache'}"]
    command += ["-o", "APT::Sandbox::User=root", "-o", "Acquire::http::Timeout=10"]
    if lists is not None:
        (lists / "partial").mkdir(parents=True)
        command += ["-o", f"Dir::State::lists={lists}", "-o", "Acquire::Languages=none"]
        if not _succeeds([*command, "update"], work):
            return False
    return _succeeds([*command, "download", *PACKAGES], work)


def _build(content: Path) -> bool:
    """Build without discovery of targets in clouds (but Kubernetes): most of the code is that."""
    names = ("promtool", "prometheus")
    tags = "netgo,remove_all_sd,enable_kubernetes_sd"
    command = ["go", "install", "-tags", tags, "-ldflags", "-s -w"]
    command += [f"github.com/prometheus/prometheus/cmd/{name}@{GO_VERSION}" for name in names]
    environment = {**os.environ, "GOBIN": str(content / "bin")}
    return subprocess.run(command, env=environment, check=False).returncode == 0


def _succeeds(command: list[str], folder: Path) -> bool:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
