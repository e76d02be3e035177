"""What all dashboards share: time range, refresh, variables, annotations, links, and the grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard

from boards.queries import DATABASE, PROMETHEUS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TAG = "sark-audit"
GRID_COLUMNS = 24

Section = tuple[str, "Sequence[dashboard.Panel]"]
"""A title, and the panels under it; without a title, panels above the first one."""


class Titled(dashboard.AnnotationQuery):
    """An annotation that says what it marks; the SDK's own has no words."""

    def __init__(self, name: str, colour: str, expr: str, title: str, text: str) -> None:
        super().__init__(name, PROMETHEUS, icon_color=colour, expr=expr)
        self.words = {"titleFormat": title, "textFormat": text}

    def to_json(self) -> dict[str, object]:
        """Return it as Grafana keeps it."""
        return super().to_json() | self.words


def framed(
    uid: str,
    title: str,
    description: str,
    *,
    sections: Iterable[Section],
    variables: Sequence[dashboard.VariableModel] = (),
    annotations: Sequence[dashboard.AnnotationQuery],
    span: str,
) -> dashboard.Dashboard:
    """Return the dashboard; `span` is what it shows at first, as "now-3h"."""
    board = build.Dashboard(title).uid(uid).description(description).tags([TAG])
    board.refresh("30s").time(span, "now").timezone("browser")
    board.tooltip(dashboard.DashboardCursorSync.CROSSHAIR).link(_to_the_others())
    built = board.build()
    built.templating.list_val = [*_data_sources(), *variables]
    built.annotations.list_val = list(annotations)
    built.panels = list(_placed(sections))
    return built


def label_variable(name: str, label: str, metric: str) -> dashboard.VariableModel:
    """Return a variable with the values of a metric's label of the same name, several at once."""
    # All is .*, not a list of those known: a new server shows before the list is asked for again.
    variable = build.QueryVariable(name).label(label).datasource(PROMETHEUS)
    variable.query(
        {
            "qryType": 1,
            "query": f"label_values({metric}, {name})",
            "refId": "PrometheusVariableQueryEditor-VariableQuery",
        }
    )
    variable.multi(True).include_all(True).all_value(".*")
    variable.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
    variable.sort(dashboard.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    return variable.current(dashboard.VariableOption(True, ["All"], ["$__all"])).build()


def firing(components: str) -> dashboard.AnnotationQuery:
    """Mark when alerts of these components (a regular expression) fired."""
    fired = f'ALERTS{{alertstate="firing", component=~"{components}"}}'
    return Titled("Alerts", "red", fired, "{{alertname}}", "{{severity}}")


def late() -> dashboard.AnnotationQuery:
    """Mark when what is counted from committed events told of another time."""
    # Grafana marks where the value is above 0.
    text = "What is counted from committed events tells of an earlier time"
    return Titled("Ingest late", "orange", "1 - sark:audit_ingest_current", "Ingest late", text)


def _data_sources() -> tuple[dashboard.VariableModel, ...]:
    """Let the reader choose the data sources: no dashboard knows the id of one."""
    prometheus = build.DatasourceVariable("datasource").label("Prometheus")
    database = build.DatasourceVariable("database").label("Audit database")
    return (
        prometheus.type(str(PROMETHEUS.type_val)).build(),
        database.type(str(DATABASE.type_val)).build(),
    )


def _to_the_others() -> build.DashboardLink:
    link = build.DashboardLink("Audit dashboards").type(dashboard.DashboardLinkType.DASHBOARDS)
    return link.tags([TAG]).keep_time(True)


def _placed(sections: Iterable[Section]) -> Iterable[dashboard.Panel | dashboard.RowPanel]:
    """Give each panel its number and its place: from left to right, then the next line."""
    number = top = 0
    for title, panels in sections:
        if title:
            number += 1
            place = dashboard.GridPos(h=1, w=GRID_COLUMNS, x=0, y=top)
            yield dashboard.RowPanel(title=title, grid_pos=place, id_val=number)
            top += 1
        left = 0
        for panel in panels:
            number += 1
            assert panel.grid_pos is not None
            panel.id_val, panel.grid_pos.x, panel.grid_pos.y = number, left, top
            left += panel.grid_pos.w
            if left >= GRID_COLUMNS:
                left, top = 0, top + panel.grid_pos.h
            yield panel
