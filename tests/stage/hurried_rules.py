"""The rules that are shipped, with every duration a fixed part of itself.

An alert that waits ten minutes over a window of five is seen firing in half a minute. What is
scaled: windows and offsets in expressions, `for`, and the one threshold that is an age. Nothing
else is touched, so expressions, thresholds and labels are those that are shipped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from stack.prometheus import RULES

if TYPE_CHECKING:
    from pathlib import Path

TIMES = 30
_MILLISECONDS = {"s": 1000, "m": 60_000, "h": 3_600_000}
_WINDOW = re.compile(r"(?P<before>\[|offset )(?P<number>\d+)(?P<unit>[smh])")
_AGE = re.compile(r"(?P<age>max\(sark_audit_oldest_undurable_seconds\) > )(?P<seconds>\d+)")


def hurried_rules(folder: Path) -> Path:
    """Write the rules with durations `TIMES` shorter; return where."""
    folder.mkdir()
    for path in RULES.glob("*.yaml"):
        rules = yaml.safe_load(path.read_text())
        for group in rules["groups"]:
            group["rules"] = [_hurried(rule) for rule in group["rules"]]
        (folder / path.name).write_text(yaml.safe_dump(rules))
    return folder


def shortened(duration: str) -> str:
    """Return Prometheus' way to write a duration, so many times shorter."""
    number, unit = re.fullmatch(r"(\d+)([smh])", duration).groups()
    return f"{int(number) * _MILLISECONDS[unit] // TIMES}ms"


def _hurried(rule: dict[str, str]) -> dict[str, str]:
    expr = _WINDOW.sub(
        lambda found: f"{found['before']}{shortened(found['number'] + found['unit'])}", rule["expr"]
    )
    expr = _AGE.sub(lambda found: f"{found['age']}{int(found['seconds']) / TIMES}", expr)
    waits = {"for": shortened(rule["for"])} if "for" in rule else {}
    return {**rule, "expr": expr, **waits}
