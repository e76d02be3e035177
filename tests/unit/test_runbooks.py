"""Whoever follows a runbook at three in the morning finds that page, that command, that setting."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
import typer

from ingest_service.cli import assembled
from ingest_service.errors import StopReason
from ingest_service.settings import Settings
from stack.state import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    import click

PAGES = sorted((REPOSITORY / "docs" / "runbooks").glob("*.md"))
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
SETTINGS = {
    f"INGEST_{group}__{field}".upper()
    for group, declared in Settings.model_fields.items()
    for field in declared.annotation.model_fields
}


def commands(page: Path) -> list[list[str]]:
    """Return each `ingest-service ...` of a page, as words."""
    return [
        shlex.split(command)
        for command in re.findall(r"`[^`]*?ingest-service ([^`]*)`", text(page))
    ]


def text(page: Path) -> str:
    return page.read_text()


def headings(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@EACH
def test_links_lead_to_pages_and_sections(page: Path):
    """Each relative link is a file of the repository, with that heading."""
    for target, section in re.findall(r"\]\(([^)#:]+)(?:#([^)]*))?\)", text(page)):
        path = (page.parent / target).resolve()
        assert path.is_file(), target
        assert not section or section in headings(path), f"{target}#{section}"


@EACH
def test_settings_exist(page: Path):
    """Each variable that a page names is one of ours."""
    assert set(re.findall(r"INGEST_\w+__\w+", text(page))) <= SETTINGS


@EACH
def test_commands_exist_with_these_options(page: Path):
    """Each command that a page tells to run takes those options."""
    for words in commands(page):
        command: click.Command = typer.main.get_command(assembled(words))
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert not hasattr(command, "commands"), words
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, command.name


def test_each_reason_to_stop_is_explained():
    """Whoever is told a reason finds it on the page."""
    page = REPOSITORY / "docs" / "runbooks" / "AuditPartitionStopped.md"
    cells = re.findall(r"^\| (`.*?) \|", text(page), re.MULTILINE)
    explained = {code for cell in cells for code in re.findall(r"`(\w+)`", cell)}
    assert explained - {"reason"} == {reason.value for reason in StopReason}


def test_commands_are_found():
    """The search itself sees commands, with their options."""
    found = [words for page in PAGES for words in commands(page)]
    assert ["check"] in found
    assert ["replay", "dead-letters", "--dry-run"] in found
