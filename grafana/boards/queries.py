"""What a panel asks, and of whom: the Prometheus and the database that its reader chose."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from grafana_foundation_sdk.models.prometheus import Dataquery as PrometheusQuery
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
DATABASE = DataSourceRef(type_val="grafana-postgresql-datasource", uid="${database}")

_SQL = Path(__file__).parent / "sql"


class SqlQuery(Dataquery):
    """A query in SQL, which the SDK has no type for; its answer is a table."""

    def __init__(self, raw_sql: str) -> None:
        self.raw_sql = raw_sql
        self.datasource = DATABASE
        self.ref_id = ""

    def to_json(self) -> dict[str, object]:
        """Return it as Grafana keeps it."""
        return {
            "datasource": self.datasource,
            "editorMode": "code",
            "format": "table",
            "rawQuery": True,
            "rawSql": self.raw_sql,
            "refId": self.ref_id,
        }


Query = PrometheusQuery | SqlQuery


def over_time(expr: str, legend: str, *, exemplars: bool = False) -> PrometheusQuery:
    """Return a query for the dashboard's time range; `legend` names a series by its labels."""
    query = _prometheus(expr, legend)
    query.range_val, query.instant = True, False
    query.exemplar = True if exemplars else None
    return query


def now(expr: str, legend: str = "") -> PrometheusQuery:
    """Return a query for the last moment of the range.

    Not "the last value of the range": a worker that died half an hour ago would still show its own.
    """
    query = _prometheus(expr, legend)
    query.range_val, query.instant = False, True
    return query


def now_as_table(expr: str) -> PrometheusQuery:
    """Return such a query with a row for each series and a column for each label."""
    query = now(expr)
    query.format_val = PromQueryFormat.TABLE
    return query


def sql(name: str) -> SqlQuery:
    """Return the query that `sql/NAME.sql` holds."""
    return SqlQuery((_SQL / f"{name}.sql").read_text().strip())


def _prometheus(expr: str, legend: str) -> PrometheusQuery:
    return PrometheusQuery(
        expr=" ".join(expr.split()),
        legend_format=legend,
        datasource=PROMETHEUS,
        editor_mode=QueryEditorMode.CODE,
    )
