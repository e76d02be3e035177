from __future__ import annotations

from pathlib import Path

from ingest_service.telemetry.metrics import CATALOGUE, Declaration, Label

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def line(declaration: Declaration) -> str:
    labels = ", ".join(map(bounded, declaration.labels)) or "none"
    return (
        f"| `{declaration.name}` | {declaration.kind} | {labels} "
        f"| {declaration.source} | {declaration.help} |"
    )


def bounded(label: Label) -> str:
    most = f", at most {label.most}" if label.most else ""
    return f"`{label.name}` ({label.bound}{most})"


def test_page_has_each_metric_as_declared() -> None:
    """The documented table is the catalogue, line by line, and nothing else."""
    documented = [text for text in PAGE.read_text().splitlines() if text.startswith("| `sark_")]
    assert documented == [line(declaration) for declaration in CATALOGUE]
