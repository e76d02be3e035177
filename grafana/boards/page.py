"""The tables of `docs/dashboards.md`: a line a panel, in the words that Grafana shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from grafana_foundation_sdk.models.dashboard import Dashboard, RowPanel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TABLE = r"(<!-- panels of {name} -->\n).*?(<!-- end -->)"


def with_panels(page: str, dashboards: Mapping[str, Dashboard]) -> str:
    """Return the page with each dashboard's table between its two marks."""
    for name, dashboard in dashboards.items():
        table = "\n".join(_lines(dashboard))
        pattern = re.compile(_TABLE.format(name=re.escape(name)), re.DOTALL)
        page, places = pattern.subn(rf"\g<1>\n{table}\n\n\g<2>", page)
        if places != 1:
            raise ValueError(f"docs/dashboards.md needs one place for the panels of {name}")
    return page


def _lines(dashboard: Dashboard) -> Iterator[str]:
    yield "| panel | what it answers |"
    yield "|---|---|"
    for panel in dashboard.panels or ():
        if isinstance(panel, RowPanel):
            yield f"| **{panel.title}** | |"
        else:
            yield f"| {panel.title} | {panel.description} |"
