"""The pipeline dashboard's first row tells the truth, by Prometheus' own arithmetic: whatever is dead."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from dashboards import as_prometheus_reads, promql
from servers import prometheus
from stack.state import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

MINUTES, DIED_AFTER = 25, 10
SAMPLES, ALIVE = MINUTES * 4, DIED_AFTER * 4  # a scrape every 15 s
TOPIC = 'topic="events", partition'
SINK = 'siem_platform="splunk"'
RETENTION_SECONDS = 1000

STANDBY = {f'sark_audit_topic_end_offset{{{TOPIC}="{n}", job="standby"}}': "0+10x100" for n in "01"}
"""A worker that has nothing else to show: it tells where the topic ends."""
PERSISTER = {f'sark_audit_durable_offset{{{TOPIC}="{n}"}}': "0+10x100" for n in "01"} | {
    "sark_audit_oldest_undurable_seconds": "1x100",
    'sark_audit_topic_retention_seconds{topic="events"}': f"{RETENTION_SECONDS}x100",
    'sark_audit_quarantined_total{reason="not_json"}': "0x100",
}
FORWARDER = {f'sark_siem_committed_offset{{{SINK}, {TOPIC}="{n}"}}': "0+10x100" for n in "01"} | {
    f"sark_siem_circuit_breaker_state{{{SINK}}}": "0x100",
    f"sark_siem_oldest_unsent_seconds{{{SINK}}}": "2x100",
}
GATEWAY = {
    f'sark_audit_publisher_events_total{{outcome="{outcome}"}}': values
    for outcome, values in {"recorded": "0+9x100", "refused": "0x100", "unknown": "0x100"}.items()
} | {"sark_audit_queue_drops_total": "0x100"}
HEALTHY = STANDBY | PERSISTER | FORWARDER | GATEWAY
DEAD = (
    STANDBY
    | {'sark_audit_topic_retention_seconds{topic="events"}': f"{RETENTION_SECONDS}x100"}
    | {
        name: f"{values.split('x')[0]}x{ALIVE} stale"
        for name, values in (PERSISTER | FORWARDER).items()
        if "retention" not in name
    }
)
SICK = HEALTHY | {
    f'sark_audit_partition_stopped{{{TOPIC}="1", reason="gap"}}': "1x100",
    f'sark_siem_partition_stopped{{{SINK}, {TOPIC}="0", reason="gap"}}': "1x100",
    'sark_audit_quarantined_total{reason="not_json"}': "0x40 5x60",
    f"sark_siem_circuit_breaker_state{{{SINK}}}": "0x40 2x60",
    f'sark_siem_dead_letters_total{{{SINK}, reason="bad_fields"}}': "_x80 3x20",
    'sark_audit_publisher_events_total{outcome="refused"}': "0x40 7x60",
}

Answers = dict[str, float | None]
"""The number that each panel shows; None where it has to say that there is none."""

ALL_WELL: Answers = {
    "Kafka's retention used up A": 0.001,
    "Kafka's retention used up B": 0.002,
    "Not in the database yet A": 0,
    "The oldest of them A": 1,
    "Partitions without a persister A": 0,
    "Partitions stopped A": 0,
    "Not recorded by gateways A": 0,
    "Quarantined A": 0,
    "Dead letters, last 15 minutes A": 0,
    "Sinks that get nothing A": 0,
}


@pytest.mark.parametrize(
    ("series", "answers"),
    [
        pytest.param(HEALTHY, ALL_WELL, id="all is well"),
        pytest.param(
            SICK,
            ALL_WELL
            | {
                "Partitions stopped A": 2,
                "Not recorded by gateways A": 7,
                "Quarantined A": 5,
                "Dead letters, last 15 minutes A": 3,
                "Sinks that get nothing A": 1,
            },
            id="stopped, refused and broken",
        ),
        pytest.param(
            DEAD,
            ALL_WELL
            | {
                "Kafka's retention used up A": 0.9,
                "Kafka's retention used up B": 0.9,
                "Not in the database yet A": 2 * 10 * (SAMPLES - ALIVE),
                "The oldest of them A": None,
                "Partitions without a persister A": 2,
                "Not recorded by gateways A": None,
                "Dead letters, last 15 minutes A": None,
                "Sinks that get nothing A": 1,
            },
            id="nobody lives but a standby",
        ),
        pytest.param({}, dict.fromkeys(ALL_WELL), id="nobody lives at all"),
    ],
)
def test_first_row_tells_the_truth(series: dict[str, str], answers: Answers, tmp_path: Path):
    """Each number of the first row is what it says, also when those who would know it are dead."""
    case = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [question(name, answer) for name, answer in answers.items()],
    }
    path = tmp_path / "case.json"  # JSON is YAML
    rules = str(REPOSITORY / "prometheus" / "rules" / "recording.yaml")
    path.write_text(
        json.dumps({"rule_files": [rules], "evaluation_interval": "15s", "tests": [case]})
    )
    for programs in prometheus.programs():
        done = subprocess.run(
            [str(programs.program("promtool")), "test", "rules", str(path)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def question(name: str, answer: float | None) -> dict[str, object]:
    """Return what promtool is asked for one panel, with the answer it must give."""
    [asked] = [asked for asked in promql() if asked.where == f"pipeline: {name}"]
    labels = f"{{{SINK}}}" if "{{siem_platform}}" in asked.legend else "{}"
    samples = [] if answer is None else [{"labels": labels, "value": answer}]
    return {
        "expr": as_prometheus_reads(asked.text),
        "eval_time": f"{MINUTES}m",
        "exp_samples": samples,
    }
