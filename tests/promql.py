"""Which labels a PromQL expression's answer has, by the metrics' declarations and the rules.

Whoever names a metric or a label that nobody exports gets `UnknownNameError`, as Prometheus would not
say: to it a misspelt name is a series without data.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import promql_parser as ast
import yaml

from ingest_service.telemetry.declaration import Kind
from ingest_service.telemetry.metrics import CATALOGUE
from ingest_service.telemetry.worker_metrics import new_registry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest_service.telemetry.declaration import Declaration

RULES = Path(__file__).parents[1] / "prometheus" / "rules"
TARGET = frozenset({"job", "instance"})
"""What Prometheus adds to each series that it scrapes."""
ALERT = frozenset(
    {"alertname", "alertstate", "severity", "component", "topic", "partition", "siem_platform"}
)
"""An alert's own labels, and those of the series that it is about."""

Labels = frozenset[str]


class UnknownNameError(AssertionError):
    """An expression names a metric that nobody exports, or a label that its series have not."""


class Series:
    """The series there can be: what is scraped, what the rules record, what Prometheus adds."""

    def __init__(self) -> None:
        self.counters = {d.name for d in CATALOGUE if d.kind is Kind.COUNTER}
        self.shown_by_several = {
            declaration.name
            for declaration in CATALOGUE
            if declaration.kind is Kind.GAUGE
            and {"partition", "gateway_instance"} & {label.name for label in declaration.labels}
        }
        self._labels: dict[str, Labels] = {"up": TARGET, "ALERTS": ALERT}
        for declaration in CATALOGUE:
            self._labels |= dict.fromkeys(_exposed(declaration), _declared(declaration))
        for family in new_registry().collect():
            for sample in family.samples:
                self._labels[sample.name] = TARGET | frozenset(sample.labels)
        self._rules = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}

    def labels_of(self, name: str) -> Labels:
        """Return the labels that a metric's or a recording rule's series have."""
        if name not in self._labels:
            if name not in self._rules:
                raise UnknownNameError(f"nobody exports {name}")
            self._labels[name] = self.answer_of(ast.parse(self._rules[name]))
        return self._labels[name]

    def answer_of(self, expr: Any) -> Labels:
        """Return the labels of the expression's answer; none for a number."""
        reader = {
            ast.VectorSelector: self._selected,
            ast.MatrixSelector: lambda matrix: self._selected(matrix.vector_selector),
            ast.AggregateExpr: self._aggregated,
            ast.BinaryExpr: self._combined,
            ast.Call: self._called,
            ast.NumberLiteral: lambda _: frozenset(),
        }.get(type(expr))
        return reader(expr) if reader else self.answer_of(expr.expr)

    def _selected(self, selector: Any) -> Labels:
        labels = self.labels_of(selector.name)
        _require({matcher.name for matcher in selector.matchers.matchers}, labels, selector)
        return labels

    def _aggregated(self, expr: Any) -> Labels:
        inner = self.answer_of(expr.expr)
        if expr.modifier is None:
            return inner if str(expr.op) in {"topk", "bottomk"} else frozenset()
        named = frozenset(expr.modifier.labels)
        _require(named, inner, expr)
        return named if expr.modifier.type == ast.AggModifierType.By else inner - named

    def _combined(self, expr: Any) -> Labels:
        left, right = self.answer_of(expr.lhs), self.answer_of(expr.rhs)
        matching = expr.modifier and expr.modifier.matching
        if matching:
            _require(matching.labels, left & right, expr)
        elif left != right and str(expr.op) != "or" and not _has_number(expr):
            raise UnknownNameError(f"{set(left)} and {set(right)} never match in {expr}")
        if str(expr.op) in {"and", "unless"}:
            return left
        if str(expr.op) == "or":
            return left | right
        return (left or right) | frozenset((expr.modifier and expr.modifier.group_labels) or ())

    def _called(self, expr: Any) -> Labels:
        answers = [self.answer_of(argument) for argument in expr.args]
        labels: Labels = frozenset().union(*answers)
        if expr.func.name == "histogram_quantile":
            _require({"le"}, labels, expr)
            return labels - {"le"}
        return labels


def rules() -> list[dict[str, Any]]:
    """Return every rule that is shipped, recording and alerting."""
    return [
        rule
        for path in sorted(RULES.glob("*.yaml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def parts_of(expr: Any) -> list[Any]:
    """Return the expression and everything in it."""
    found: list[Any] = []
    ast.walk(expr, found.append)
    return found


def _has_number(expr: Any) -> bool:
    return _is_number(expr.lhs) or _is_number(expr.rhs)


def _is_number(expr: Any) -> bool:
    match expr:
        case ast.NumberLiteral():
            return True
        case ast.ParenExpr() | ast.UnaryExpr():
            return _is_number(expr.expr)
        case ast.BinaryExpr():
            return _is_number(expr.lhs) and _is_number(expr.rhs)
        case ast.Call():
            return expr.func.return_type == ast.ValueType.Scalar
    return False


def _exposed(declaration: Declaration) -> list[str]:
    if declaration.kind is Kind.HISTOGRAM:
        return [f"{declaration.name}_{part}" for part in ("bucket", "sum", "count")]
    return [declaration.name]


def _declared(declaration: Declaration) -> Labels:
    le = {"le"} if declaration.kind is Kind.HISTOGRAM else set()
    return TARGET | le | {label.name for label in declaration.labels}


def _require(named: Iterable[str], labels: Labels, expr: Any) -> None:
    for name in named:
        if name not in labels:
            raise UnknownNameError(f"no label {name} in {expr}")
