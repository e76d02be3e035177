"""Where Prometheus comes from is decided in one place, and half of one does not count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stack import prometheus_source as source
from stack.prometheus import Scraping
from stack.state import State


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    """Return an empty state folder, on a machine with nothing on its PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return State(tmp_path / "state", tmp_path / "downloads")


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def test_installed_one_comes_before_unpacked_and_built_ones(state: State, tmp_path: Path):
    """What a person installed is used first; Debian's has a page, so it comes before Go's."""
    both = ("prometheus", "promtool")
    built = put(state.downloads / f"prometheus-go-{source.GO_VERSION}" / "bin", *both)
    unpacked = put(state.downloads / "prometheus-debian" / "usr" / "bin", *both)
    installed = put(tmp_path / "bin", *both)
    assert [each.folder for each in source.found(state)] == [installed, unpacked, built]


def test_server_without_its_rule_checker_is_none(state: State, tmp_path: Path):
    """Half a download, or a server alone, is not Prometheus."""
    put(tmp_path / "bin", "prometheus")
    put(state.downloads / "prometheus-debian" / "usr" / "bin", "promtool")
    assert source.found(state) == []


def test_without_anything_there_is_none_and_nothing_is_left(state: State):
    """No apt-get, no Go: the answer is None, at once."""
    assert source.had_quickly(state) is None
    assert source.built(state) is None
    assert not state.downloads.exists()


def test_package_that_cannot_be_had_leaves_nothing_half_done(state: State, tmp_path: Path):
    """A mirror that does not answer is asked twice, and the downloads stay as they were."""
    put(tmp_path / "bin", "apt-get", "dpkg-deb")
    for name in ("apt-get", "dpkg-deb"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
    state.downloads.mkdir()
    assert source.had_quickly(state) is None
    assert [path.name for path in state.downloads.iterdir()] == ["run"]  # the lock's


def test_configuration_names_rules_targets_and_times():
    """What is scraped, how often, and by which rules: no more, since nobody is to be told."""
    targets = {"ingest-persister": ["127.0.0.1:9464"]}
    alone = json.loads(Scraping(targets, "2s", Path("/rules")).configuration())
    assert alone["rule_files"] == ["/rules/*.yaml"]
    assert alone["scrape_configs"] == [
        {"job_name": "ingest-persister", "static_configs": [{"targets": ["127.0.0.1:9464"]}]}
    ]
    assert set(alone["global"].values()) == {"2s"}
    assert set(alone) == {"global", "rule_files", "scrape_configs"}
