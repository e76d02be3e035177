from __future__ import annotations

from pathlib import Path

from ingest_service.telemetry.metrics import CATALOGUE
from ingest_service.telemetry.page import filled

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_page_has_each_metric_as_declared() -> None:
    """The documented tables are the catalogue, and nothing else."""
    page = PAGE.read_text()
    assert filled(page) == page, "python -m ingest_service.telemetry.page docs/metrics.md"
    for declaration in CATALOGUE:
        assert f"| `{declaration.name}` |" in page
