"""A Prometheus with this repository's rules, scraping workers on this machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.request import urlopen

from .process import Server, spawn, wait_until_ready
from .state import LOOPBACK, REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .prometheus_source import Programs
    from .state import State

NAME = "prometheus"
PORT = 9090
RULES = REPOSITORY / "prometheus" / "rules"


@dataclass(frozen=True, slots=True)
class Scraping:
    """What is scraped, by job, and how often it is and the rules are evaluated."""

    targets: Mapping[str, list[str]]
    interval: str = "5s"
    rules: Path = RULES

    def configuration(self) -> str:
        """Return Prometheus' configuration; JSON is YAML."""
        jobs = [
            {"job_name": job, "static_configs": [{"targets": targets}]}
            for job, targets in self.targets.items()
        ]
        times = {"scrape_interval": self.interval, "evaluation_interval": self.interval}
        return json.dumps(
            {
                "global": {**times, "scrape_timeout": self.interval},
                "rule_files": [f"{self.rules}/*.yaml"],
                "scrape_configs": jobs,
            },
            indent=2,
        )


def start(state: State, programs: Programs, scraping: Scraping) -> Server:
    """Start a server, with the data of the last one; its address is its page's."""
    port = state.port(NAME, wish=PORT)
    home = state.folder(NAME)
    configuration = home / "prometheus.json"
    configuration.write_text(scraping.configuration())
    command = [str(programs.program("prometheus")), f"--config.file={configuration}"]
    command += [f"--storage.tsdb.path={home / 'data'}", f"--web.listen-address={LOOPBACK}:{port}"]
    if programs.web_assets is not None:
        command += [f"--web.local-assets={programs.web_assets}"]
    command += ["--enable-feature=exemplar-storage"]  # request ids on the latency's buckets
    process = spawn(state, NAME, command)
    address = f"http://{LOOPBACK}:{port}"
    wait_until_ready(state, NAME, process, lambda: _is_ready(address))
    return Server(NAME, address, process)


def _is_ready(address: str) -> bool:
    """Tell whether it answers queries: its port is open before its data is read."""
    try:
        with urlopen(f"{address}/-/ready", timeout=1) as answer:  # noqa: S310 - our own server
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False
