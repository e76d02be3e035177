"""`ingest-service migrate` says what it found and did, to a person or a machine."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from ingest_service.cli import migrate as cli
from ingest_service.errors import SetupError

HEAD = "0003"


def run(*arguments: str, dsn: str | None = None):
    """Run the command as the command line does."""
    app = typer.Typer()
    app.command()(cli.migrate)
    return CliRunner().invoke(app, arguments, env={"INGEST_DATABASE__DSN": dsn})


@pytest.mark.database
def test_command_says_what_it_did(database_dsn: str):
    """A person reads the edition and the step; the second time, that there was nothing to do."""
    first, second = run(dsn=database_dsn), run(dsn=database_dsn)
    down = run("--down", "base", dsn=database_dsn)
    assert f"schema base → {HEAD}" in first.output
    assert "PostgreSQL" in first.output
    assert f"nothing to do, the schema is at {HEAD}" in second.output
    assert f"schema {HEAD} → base" in down.output


@pytest.mark.database
def test_command_reports_as_json(database_dsn: str):
    """A machine reads the same."""
    report = json.loads(run("--to", HEAD, "--json", dsn=database_dsn).output)
    assert report.pop("server").startswith("PostgreSQL ")
    assert report == {"before": None, "after": HEAD, "changed": True}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--to", "head", "--down", "base"], "exclude each other"), (["--force"], "goes with --down")],
)
def test_contradicting_options_are_refused(arguments: list[str], message: str):
    """What cannot be meant is not guessed at."""
    result = run(*arguments, dsn="postgresql://nobody@localhost/nowhere")
    assert isinstance(result.exception, SetupError)
    assert message in str(result.exception)


def test_help_has_an_example():
    """`--help` shows a command that can be copied."""
    assert "Example: INGEST_DATABASE__DSN=" in run("--help").output
