"""What a real Alertmanager tells whom, by the inhibitions that are shipped."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest
import yaml

from promql import rules
from servers import prometheus
from stack.state import LOOPBACK, REPOSITORY, accepts, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIGURATION = REPOSITORY / "prometheus" / "alertmanager.yaml"
ALERTS = {rule["alert"]: rule["labels"] for rule in rules() if "alert" in rule}


class Alertmanager:
    """A real server with our configuration."""

    def __init__(self, server: str, folder: Path) -> None:
        port = free_port()
        self.address = f"http://{LOOPBACK}:{port}"
        command = [server, f"--config.file={CONFIGURATION}", f"--storage.path={folder}"]
        command += [f"--web.listen-address={LOOPBACK}:{port}", "--cluster.listen-address="]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not accepts(port):
            assert self.process.poll() is None, self.process.stderr.read().decode()
            time.sleep(0.05)

    def told(self, *firing: tuple[str, dict[str, str]]) -> set[str]:
        """Return which of these alerts somebody is told of, once all have arrived."""
        alerts = [{"labels": {"alertname": name, **ALERTS[name], **more}} for name, more in firing]
        headers = {"Content-Type": "application/json"}
        body = json.dumps(alerts).encode()
        urlopen(Request(f"{self.address}/api/v2/alerts", body, headers)).close()
        while True:
            with urlopen(f"{self.address}/api/v2/alerts?active=true") as answer:
                found = json.load(answer)
            if len(found) == len(firing) and all(
                alert["status"]["state"] != "unprocessed" for alert in found
            ):
                break
            time.sleep(0.05)
        return {
            alert["labels"]["alertname"] for alert in found if not alert["status"]["inhibitedBy"]
        }

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=20)


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    running = Alertmanager(prometheus.alertmanager(), tmp_path)
    try:
        yield running
    finally:
        running.stop()


EVENTS = {"topic": "events"}
SPLUNK, DATADOG = {"siem_platform": "splunk"}, {"siem_platform": "datadog"}


@pytest.mark.parametrize(
    ("firing", "told"),
    [
        pytest.param(
            [
                ("AuditEventLoggingFailed", EVENTS),
                ("AuditPartitionWithoutOwner", EVENTS | {"partition": "1"}),
                ("AuditLagGrowing", EVENTS),
                ("AuditIngestLate", {}),
                ("NoGatewayRequests", {}),
                ("HighDenyRate", {}),
                ("SinkBreakerOpen", SPLUNK),
            ],
            {"AuditEventLoggingFailed", "SinkBreakerOpen"},
            id="nothing is committed: the cause alone, and what has another one",
        ),
        pytest.param(
            [("HighGatewayAuthorizationLatency", {}), ("CriticalGatewayAuthorizationLatency", {})],
            {"CriticalGatewayAuthorizationLatency"},
            id="the worse of two",
        ),
        pytest.param(
            [("LowPolicyCacheHitRate", {}), ("ZeroCacheHits", {})],
            {"ZeroCacheHits"},
            id="no hit at all is few hits, too",
        ),
        pytest.param(
            [
                ("SinkBreakerOpen", SPLUNK),
                ("SinkNotConnected", SPLUNK),
                ("SinkNotConnected", DATADOG),
                ("SinkOldestUnsentPastHalfRetention", SPLUNK),
            ],
            {"SinkBreakerOpen", "SinkNotConnected", "SinkOldestUnsentPastHalfRetention"},
            id="one sink says nothing for another; what will be lost is always told",
        ),
        pytest.param(
            [("IngestWorkerDown", {"instance": "a"}), ("HighDenyRate", {})],
            {"IngestWorkerDown", "HighDenyRate"},
            id="one worker of many that is down silences nothing",
        ),
        pytest.param(
            [("IngestWorkerDown", {"instance": "a"}), ("AuditTopicUnwatched", {})],
            {"AuditTopicUnwatched"},
            id="no worker at all",
        ),
    ],
)
def test_the_cause_is_told_and_its_consequences_are_not(
    alertmanager: Alertmanager, firing: list[tuple[str, dict[str, str]]], told: set[str]
):
    """An alert that another one explains reaches nobody; all others do."""
    assert alertmanager.told(*firing) == told


def test_inhibitions_name_alerts_that_exist():
    """No inhibition waits for an alert that was renamed."""
    matchers = [
        matcher
        for rule in yaml.safe_load(CONFIGURATION.read_text())["inhibit_rules"]
        for matcher in rule["source_matchers"] + rule["target_matchers"]
        if matcher.startswith("alertname")
    ]
    named = {name for matcher in matchers for name in matcher.split('"')[1].split("|")}
    assert named <= set(ALERTS)
