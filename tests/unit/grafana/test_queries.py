"""What the dashboards ask Prometheus can be answered: every name exists, and adds up as it should."""

from __future__ import annotations

import re

import promql_parser as ast
import pytest

from dashboards import Asked, as_prometheus_reads, dashboards, panels, promql
from promql import Series, UnknownNameError, parts_of

EACH = pytest.mark.parametrize("asked", promql(), ids=lambda asked: asked.where)


@pytest.fixture(scope="module")
def series() -> Series:
    """Return what series there are."""
    return Series()


def parsed(asked: Asked) -> ast.Expr:
    return ast.parse(as_prometheus_reads(asked.text))


@EACH
def test_names_exist(asked: Asked, series: Series) -> None:
    """Each metric and label is declared or recorded, and a legend names labels of the answer."""
    labels = series.answer_of(parsed(asked))
    assert set(re.findall(r"\{\{(\w+)\}\}", asked.legend)) <= labels


@EACH
def test_counters_are_read_as_rates(asked: Asked, series: Series) -> None:
    """A counter begins again at zero with each worker: its value alone says nothing."""
    expr = parsed(asked)
    in_ranges = {
        str(p.vector_selector) for p in parts_of(expr) if isinstance(p, ast.MatrixSelector)
    }
    for part in parts_of(expr):
        if isinstance(part, ast.VectorSelector) and str(part) not in in_ranges:
            assert part.name not in series.counters
            assert not part.name.endswith("_bucket")


@EACH
def test_what_several_workers_show_is_not_added_up(asked: Asked, series: Series) -> None:
    """Of a gauge that more than one worker shows the greatest is taken, by all its labels."""
    for part in parts_of(parsed(asked)):
        if isinstance(part, ast.AggregateExpr) and str(part.op) in {"sum", "avg", "count"}:
            inner = {p.name for p in parts_of(part.expr) if isinstance(p, ast.VectorSelector)}
            if inner & series.shown_by_several:
                taken = [p for p in parts_of(part.expr) if isinstance(p, ast.AggregateExpr)]
                assert {str(p.op) for p in taken} & {"max", "min"}


@EACH
def test_rates_look_over_several_scrapes(asked: Asked, series: Series) -> None:
    """A window holds at least four scrapes, so that one that fails makes no hole."""
    for window in re.findall(r"\[([^\]]+)\]", asked.text):
        assert window in {"$__rate_interval", "$__range", "6h", "7d", "7d:5m"}


def test_variables_ask_for_labels_that_exist(series: Series) -> None:
    """A variable's values are those of a label that its metric has."""
    for name, dashboard in dashboards().items():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(
                    r"label_values\((\w+), (\w+)\)", variable["query"]["query"]
                ).groups()
                assert label == variable["name"], name
                assert label in series.labels_of(metric)


def test_table_columns_are_the_answers_labels(series: Series) -> None:
    """A table of an answer names columns that the answer has."""
    for dashboard in dashboards().values():
        for panel in panels(dashboard):
            for change in panel.get("transformations", ()):
                [target] = panel["targets"]
                labels = series.answer_of(ast.parse(as_prometheus_reads(target["expr"])))
                assert set(change["options"]["renameByName"]) <= labels | {"Value"}


@pytest.mark.parametrize(
    "expr",
    [
        "sark_audit_consumer_leg",
        "sum(rate(sark_gateway_authz_requests_total{servr='x'}[1m]))",
        "sum by (sink) (sark_siem_ack_pending)",
        "histogram_quantile(0.9, sum(rate(sark_audit_end_to_end_delay_seconds_bucket[5m])))",
        "sark_audit_topic_end_offset / sark_siem_batch_size_count",
        "up * on (topic) sark_audit_durable_offset",
    ],
)
def test_misspelt_names_are_found(expr: str, series: Series) -> None:
    """The check itself sees a name that nobody exports, a label that is not there, a lost `le`."""
    with pytest.raises(UnknownNameError):
        series.answer_of(ast.parse(expr))
