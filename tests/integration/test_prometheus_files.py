"""Prometheus' own tools on what is shipped for it: each version that is there."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from servers import prometheus
from stack import prometheus_source as source
from stack.state import REPOSITORY, State

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = REPOSITORY / "prometheus"
CASES = sorted((FOLDER / "tests").glob("*.yaml"))


def said(*command: Path | str) -> str:
    """Return what the command says, which must be that all is well."""
    done = subprocess.run(
        [str(word) for word in command], check=False, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, f"{command[0]}\n{done.stdout}{done.stderr}"
    return done.stdout


def promtools() -> list[Path]:
    return [tool for each in prometheus.programs() if (tool := each.program("promtool"))]


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(cases: Path):
    """Every case holds, by the newest promtool and by an old one."""
    for promtool in promtools():
        said(promtool, "test", "rules", cases)


def test_rules_and_scrape_configuration_are_valid():
    """Each promtool takes them; a Prometheus without Kubernetes discovery cannot say of that file."""
    for promtool in promtools():
        said(promtool, "check", "rules", *sorted((FOLDER / "rules").glob("*.yaml")))
        said(promtool, "check", "config", FOLDER / "prometheus.yaml")


def test_kubernetes_configuration_is_valid():
    """A promtool that knows Kubernetes takes it; Debian's was built without."""
    version = "kubernetes_sd_configs not found"
    answers = [
        subprocess.run(
            [promtool, "check", "config", FOLDER / "kubernetes.yaml"],
            check=False,
            capture_output=True,
            text=True,
        )
        for promtool in promtools()
    ]
    assert all(done.returncode == 0 or version in done.stderr for done in answers)


def test_alertmanager_configuration_is_valid():
    """Alertmanager's own tool takes it, and each severity has somebody who is told."""
    amtool = prometheus.amtool()
    configuration = FOLDER / "alertmanager.yaml"
    said(amtool, "check-config", configuration)
    for label, receiver in {
        "severity=critical": "pager",
        "severity=warning": "tickets",
        "alertname=Watchdog": "watchdog",
    }.items():
        routed = said(amtool, "config", "routes", "test", f"--config.file={configuration}", label)
        assert routed.strip() == receiver


def test_debians_prometheus_is_unpacked_without_root_and_without_installing(tmp_path: Path):
    """Where apt-get reaches a mirror, a checkout has promtool in seconds, in its own folder."""
    state = State(tmp_path / "state", tmp_path / "downloads")
    state.downloads.mkdir()
    programs = source.unpacked(state) or prometheus.missing("Debian package")
    assert programs.folder.is_relative_to(tmp_path)
    assert programs.web_assets is not None
    assert "promtool, version 2" in said(programs.folder / "promtool", "--version")
    assert source.unpacked(state) == programs  # at once
