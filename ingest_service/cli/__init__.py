"""The command line: one file a command; each parses, calls, prints.

Only the command that was asked for is imported: `--help` must not wait for a database driver.
"""

import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer

from ingest_service import __version__
from ingest_service.cli.output import ended


class Command(NamedTuple):
    """Where a command is, and its line in the list of them (the first of its docstring)."""

    module: str
    attribute: str
    summary: str


COMMANDS = {
    "topics": Command("topics", "app", "Make the Kafka topics as the service needs them."),
    "migrate": Command(
        "migrate", "migrate", "Create or upgrade the tables, roles and views in the database."
    ),
    "persist": Command(
        "persist",
        "persist",
        "Write audit events from Kafka to the database, exactly once, until told to stop.",
    ),
    "forward": Command(
        "forward",
        "forward",
        "Send audit events from Kafka to each SIEM that is on, at least once, until told to stop.",
    ),
    "publish": Command(
        "publish",
        "publish",
        "Publish audit events: JSON lines, each sent as it is when it would become a row.",
    ),
    "check": Command(
        "check", "check", "Look whether everything is there, reachable, allowed and set up right."
    ),
    "verify": Command(
        "verify",
        "verify",
        "Prove that the database holds what arrived: unchanged, complete, and nothing else.",
    ),
    "trace": Command(
        "trace",
        "trace",
        "Tell where one event is and was: Kafka, row, ledger, quarantine, each sink.",
    ),
    "anchor": Command(
        "anchor",
        "anchor",
        "Sign where each partition's ledger ends, and keep that outside the database.",
    ),
    "replay": Command("replay", "app", "Send again what a sink refused, or never had."),
    "ledger": Command("ledger", "app", "Decide what only an operator may: gaps, and new epochs."),
    "config": Command("config", "config", "Show the settings in effect, with secrets masked."),
}


def main() -> None:
    """Run `ingest-service` and exit with its code."""
    _open_standard_streams()
    # Libraries warn of what we say better; a worker sets up its own logging.
    logging.basicConfig(handlers=[logging.NullHandler()])
    arguments = sys.argv[1:]
    # Assembling imports the command, which takes a moment in which somebody may press Ctrl-C.
    sys.exit(ended(lambda: assembled(arguments)(arguments, prog_name="ingest-service")))


def _open_standard_streams() -> None:
    """Make sure that nothing else gets their numbers, and that every terminal can show our words.

    With one of them closed (`>&-`) the next file or socket would take its place, and libuv aborts.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    for number, name in enumerate(("stdout", "stderr"), start=1):
        if getattr(sys, name) is None:  # it was closed when Python started
            setattr(sys, name, os.fdopen(number, "w", closefd=False))
        getattr(sys, name).reconfigure(errors="backslashreplace")


def assembled(arguments: Sequence[str]) -> typer.Typer:
    """Return the application, in which only the command that these arguments name is real."""
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    application = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Move gateway audit events from Kafka to TimescaleDB, exactly once and provably.\n\n"
        "Settings come from the environment: `ingest-service config` shows them.\n\n"
        "Example: ingest-service check",
    )
    application.callback()(_root)
    for name, command in COMMANDS.items():
        if name == asked:
            _add(application, name, _imported(command))
        else:
            application.command(name, help=command.summary)(_never_called)
    return application


def _imported(command: Command) -> Any:
    return getattr(import_module(f"ingest_service.cli.{command.module}"), command.attribute)


def _add(application: typer.Typer, name: str, command: Any) -> None:
    if isinstance(command, typer.Typer):
        application.add_typer(command, name=name)
    else:
        application.command(name)(command)


def _never_called() -> None:
    """Stand in the list of commands for one that was not asked for."""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ingest-service {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    del version
