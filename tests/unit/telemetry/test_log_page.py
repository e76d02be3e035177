"""docs/logs.md names every event that the code can log, with its level and its fields."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "ingest_service"
LEVELS = {name: name for name in ("debug", "info", "warning", "error", "critical")} | {
    "exception": "error"
}
OF_AN_EXCEPTION = {"error_type", "error", "where"}


def logged() -> set[tuple[str, str, str, frozenset[str]]]:
    """Return each event of the code: part, words, level, fields."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        part = _part(path.relative_to(PACKAGE))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _is_of_a_logger(node.func):
                words, fields = node.args[0], {each.arg or "**" for each in node.keywords}
                assert isinstance(words, ast.Constant), f"{path}:{node.lineno}: no fixed name"
                if "exc_info" in fields:
                    fields = fields - {"exc_info"} | (OF_AN_EXCEPTION if part else set())
                found.add((part, words.value, LEVELS[node.func.attr], frozenset(fields)))
    return found


def _part(path: Path) -> str:
    return "" if path.parts[0] == "publisher" else "worker"


def _is_of_a_logger(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr in LEVELS
        and ast.unparse(function.value).startswith(("_log", "log", "structlog.get_logger"))
        and "logs" not in ast.unparse(function.value)
    )


def documented() -> set[tuple[str, str, str, frozenset[str]]]:
    """Return what the page's tables say."""
    page = (ROOT / "docs" / "logs.md").read_text(encoding="utf-8")
    workers, publisher = page.split("## Publisher")
    rows = re.findall(r"^\| `(.+?)` \| (\w+) \| (.*?) \| .+ \|$", workers, re.MULTILINE)
    found = {
        ("worker", event, level, frozenset(re.findall(r"`(\w+)`", fields)))
        for event, level, fields in rows
    }
    rows = re.findall(r"^\| `(.+?)` \| (\w+) \| .+ \|$", publisher, re.MULTILINE)
    return found | {("", words, level, frozenset()) for words, level in rows}


def test_page_and_code_name_the_same_events() -> None:
    """Who alerts on a name finds it here, and no name is only here."""
    code, page = logged(), documented()
    # `exc_info` of a line says its error; the rest of such a line's fields are its own.
    assert code - page == set()
    assert page - code == set()
    assert len(code) > 30


def test_names_are_short_and_say_nothing_of_the_moment() -> None:
    """A name holds no value: those are fields."""
    for part, words, *_ in logged():
        assert len(words) < 75
        assert part == "" or "%" not in words
