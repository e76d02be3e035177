"""The tables of `docs/metrics.md`: `python -m ingest_service.telemetry.page docs/metrics.md`.

Each stands between two comments of its name; the text around them is written by hand.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from ingest_service.telemetry.declaration import Declaration, Label
from ingest_service.telemetry.metrics_gateway import GATEWAY
from ingest_service.telemetry.metrics_gateway_told import GATEWAY_TOLD
from ingest_service.telemetry.metrics_persister import PERSISTER
from ingest_service.telemetry.metrics_policy import POLICY
from ingest_service.telemetry.metrics_proof import PROOF
from ingest_service.telemetry.metrics_publisher import PUBLISHER
from ingest_service.telemetry.metrics_siem import SIEM

_EVERYTHING = "| metric | type | labels | from | what it says |\n|---|---|---|---|---|"
_FROM_EVENTS = (
    "| metric | counts | a label's value, and what a missing one becomes |\n|---|---|---|"
)


def tables() -> Mapping[str, str]:
    """Return each table by its name in the page."""
    found = {
        "gateway": (*GATEWAY, *GATEWAY_TOLD),
        "policy": POLICY,
        "persister": PERSISTER,
        "proof": PROOF,
        "siem": SIEM,
        "publisher": PUBLISHER,
    }
    counted = [each for each in (*GATEWAY, *POLICY) if each.counts]
    return {
        **{name: _table(_EVERYTHING, map(_line, group)) for name, group in found.items()},
        "events": _table(_FROM_EVENTS, map(_counting, counted)),
    }


def filled(page: str) -> str:
    """Return the page with its tables as the declarations have them."""
    for name, table in tables().items():
        begin, end = f"<!-- table: {name} -->", f"<!-- end: {name} -->"
        before, rest = page.split(begin)
        _, after = rest.split(end)
        page = f"{before}{begin}\n{table}\n{end}{after}"
    return page


def _table(head: str, lines: Iterable[str]) -> str:
    return "\n".join((head, *lines))


def _line(each: Declaration) -> str:
    labels = ", ".join(map(_bounded, each.labels)) or "none"
    open_series = any(label.most for label in each.labels)
    most = f"; {each.most_series} series" if open_series else ""
    return f"| `{each.name}` | {each.kind} | {labels}{most} | {each.source} | {each.help} |"


def _bounded(label: Label) -> str:
    return f"`{label.name}` (≤ {label.most})" if label.most else f"`{label.name}`"


def _counting(each: Declaration) -> str:
    labels = "; ".join(f"`{label.name}`: {label.meaning}" for label in each.labels) or "none"
    return f"| `{each.name}` | {each.counts} | {labels} |"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(filled(target.read_text(encoding="utf-8")), encoding="utf-8")
