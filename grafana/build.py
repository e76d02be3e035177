"""Write the dashboards' JSON, and the tables of `docs/dashboards.md`, from `boards/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from boards.gateway import gateway_integration
from boards.page import with_panels
from boards.pipeline import pipeline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grafana_foundation_sdk.models.dashboard import Dashboard

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "dashboards.md"


def dashboards() -> dict[str, Dashboard]:
    """Return every dashboard by the name of its file."""
    return {"gateway-integration": gateway_integration(), "pipeline": pipeline()}


def files() -> Mapping[Path, str]:
    """Return what each generated file must hold."""
    built = dashboards()
    written = {
        HERE / "dashboards" / f"{name}.json": encoded(dashboard)
        for name, dashboard in built.items()
    }
    return written | {PAGE: with_panels(PAGE.read_text(), built)}


def encoded(dashboard: Dashboard) -> str:
    """Return the JSON that Grafana reads."""
    return json.dumps(dashboard, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
