"""The command as a user has it: a process of its own."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer

from ingest_service import __version__
from ingest_service.cli import COMMANDS, assembled

COMMAND = Path(sys.executable).with_name("ingest-service")
CANARY = "canary-of-a-secret"
SUBCOMMANDS = [[name] for name in COMMANDS] + [
    ["topics", "create"],
    ["replay", "dead-letters"],
    ["replay", "sink"],
]


def environment(**settings: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("INGEST_")}
    return kept | {"COLUMNS": "100", "NO_COLOR": "1", "INGEST_SECRETS_DIR": "/none"} | settings


def call(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments],
        check=False,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_version_is_shown() -> None:
    """What runs can be told."""
    assert call("--version").stdout == f"ingest-service {__version__}\n"


@pytest.mark.parametrize("arguments", [[], *SUBCOMMANDS], ids="-".join)
def test_help_has_an_example(arguments: list[str]) -> None:
    """Every command explains itself with a line to copy."""
    shown = call(*arguments, "--help")
    assert shown.returncode == 0
    assert re.search(r"Example: .*ingest-service", shown.stdout, re.DOTALL)
    assert shown.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_list_of_commands_says_what_their_help_says(name: str) -> None:
    """The summary that stands for a command is the first line of its own help."""
    command = COMMANDS[name]
    real = getattr(import_module(f"ingest_service.cli.{command.module}"), command.attribute)
    explained = real.info.help if isinstance(real, typer.Typer) else inspect.getdoc(real)
    assert explained.splitlines()[0] == command.summary


def test_help_imports_no_driver() -> None:
    """Help must not wait for libraries that only the commands need."""
    script = (
        "import sys; from ingest_service.cli import assembled\n"
        "try: assembled(['--help'])(['--help'])\n"
        "finally: print(sorted(m for m in ('aiokafka', 'asyncpg', 'pydantic', 'sqlalchemy', "
        "'alembic', 'prometheus_client') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_unknown_command_is_used_wrongly() -> None:
    """A mistyped command is exit code 2 and no traceback."""
    done = call("chekc")
    assert done.returncode == 2
    assert "No such command" in done.stderr


@pytest.mark.parametrize("arguments", [["config"], ["check"]])
def test_bad_settings_are_all_named_at_once(arguments: list[str]) -> None:
    """Every mistake by its variable, in one message, without the values; exit code 2."""
    done = call(
        *arguments,
        INGEST_DATABASE__WRITERS=CANARY,
        INGEST_KAFKA__TOPC="x",
        INGEST_HTPP__PORT="1",
    )
    assert done.returncode == 2
    for variable in ("INGEST_DATABASE__WRITERS", "INGEST_KAFKA__TOPC", "INGEST_HTPP__PORT"):
        assert variable in done.stderr
    assert CANARY not in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_config_masks_secrets_and_says_where_values_come_from(tmp_path: Path) -> None:
    """A secret never shows, from wherever it came; host, user and database do."""
    (tmp_path / "INGEST_KAFKA__SASL_PASSWORD").write_text(CANARY)
    settings = {
        "INGEST_DATABASE__DSN": f"postgresql://writer:{CANARY}@db:5432/audit",
        "ingest_kafka__topic": "audit",
        "INGEST_EVENTS__MAX_AGE": "36h",
        "INGEST_SECRETS_DIR": str(tmp_path),
    }
    done = call("config", "--json", **settings)
    assert CANARY not in done.stdout + done.stderr
    shown = json.loads(done.stdout)
    values = {name: (found["value"], found["source"]) for name, found in shown.items()}
    address = "postgresql://writer:********@db:5432/audit"
    assert values["INGEST_DATABASE__DSN"] == (address, "environment")
    assert values["INGEST_KAFKA__TOPIC"] == ("audit", "environment")
    assert values["INGEST_KAFKA__SASL_PASSWORD"] == ("********", "secrets directory")
    assert values["INGEST_EVENTS__MAX_AGE"] == ("36h", "environment")
    assert values["INGEST_HTTP__PORT"] == ("9464", "default")
    assert CANARY not in call("config", **settings).stdout


def test_config_can_be_given_back(tmp_path: Path) -> None:
    """What `config` prints, put in an environment, gives the same settings again."""
    first = call("config", INGEST_KAFKA__TOPIC="with space", INGEST_EVENTS__MAX_AGE="90m")
    again = tmp_path / "again.sh"
    again.write_text(f"set -a\n{first.stdout}\nexec {COMMAND} config\n")
    shell = shutil.which("sh")
    assert shell is not None
    second = subprocess.run(
        [shell, again], check=True, env=environment(), capture_output=True, text=True
    )
    without_sources = re.compile(r"\s+# .*$", re.MULTILINE)
    assert without_sources.sub("", second.stdout) == without_sources.sub("", first.stdout)


def test_unreachable_servers_are_a_line_each() -> None:
    """`check` says of each server what is wrong and what to do, within seconds."""
    done = call(
        "check",
        INGEST_KAFKA__BOOTSTRAP_SERVERS="localhost:1",
        INGEST_DATABASE__DSN=f"postgresql://u:{CANARY}@localhost:1/db",
    )
    assert done.returncode == 1
    kafka, database = done.stdout.splitlines()
    assert kafka.startswith("✗ Kafka: ")
    assert "INGEST_KAFKA__" in kafka
    assert database.startswith("✗ database: ")
    assert "INGEST_DATABASE__DSN" in database
    assert done.stderr == ""
    assert CANARY not in done.stdout


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["check --json", "persist"])
def test_closed_standard_stream_changes_no_exit_code(command: str, closed: str) -> None:
    """Under a supervisor that closes them, a command still does its work and gives its code."""
    script = f'exec "$0" {command} {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", script, COMMAND],
        check=False,
        env=environment(
            INGEST_KAFKA__BOOTSTRAP_SERVERS="localhost:1",
            INGEST_DATABASE__DSN="postgresql://localhost:1/db",
            INGEST_HTTP__PORT="0",
        ),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1


def test_encoding_of_the_terminal_stops_nothing() -> None:
    """What a terminal's encoding cannot show is replaced."""
    done = call("check", INGEST_KAFKA__BOOTSTRAP_SERVERS="localhost:1", PYTHONIOENCODING="latin1")
    assert done.returncode == 1
    assert "Kafka: " in done.stdout


@pytest.mark.parametrize("settings", [{}, {"INGEST_DATABASE__DSN": " "}])
def test_missing_dsn_is_said(settings: dict[str, str]) -> None:
    """Without a database's address, or with an empty one, the line names the variable."""
    done = call("check", "--json", INGEST_KAFKA__BOOTSTRAP_SERVERS="localhost:1", **settings)
    assert [finding["verdict"] for finding in json.loads(done.stdout)] == ["wrong", "wrong"]
    assert "INGEST_DATABASE__DSN is not set" in done.stdout


@pytest.mark.parametrize(
    "dsn",
    [
        f"nonsense:{CANARY}",
        f"postgresql://u:{CANARY}@[::1/db",
        f"postgresql://u:{CANARY}#@localhost:1/db",
        f"postgresql://u:{CANARY}@localhost:1/db?sslmode=bogus",
    ],
)
def test_address_that_is_none_shows_no_secret(dsn: str) -> None:
    """An address that cannot be used is told, with how one is written, without repeating it."""
    done = call("check", INGEST_DATABASE__DSN=dsn, INGEST_KAFKA__BOOTSTRAP_SERVERS="localhost:1")
    assert "is not a PostgreSQL address: write postgresql://" in done.stdout
    assert CANARY not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        {"--partition": str(2**31)},
        {"--reason": "lost \udcff"},
        {"--topic": "\udcff"},
    ],
)
@pytest.mark.parametrize("command", ["accept-gap", "new-epoch"])
def test_operator_who_mistypes_is_told_before_anything_is_asked(
    command: str, wrong: dict[str, str]
) -> None:
    """What PostgreSQL could not take is used wrongly (2): nothing was connected to."""
    given = {"--partition": "0", "--reason": "lost"} | wrong
    done = call("ledger", command, *(word for option in given.items() for word in option))
    assert done.returncode == 2
    assert f"Invalid value for '{next(iter(wrong))}'" in done.stderr


def test_unreachable_broker_is_one_message() -> None:
    """`topics create` without a broker is one line on standard error."""
    done = call("topics", "create", INGEST_KAFKA__BOOTSTRAP_SERVERS="no-such-host.invalid:9092")
    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert "no-such-host.invalid:9092: this name cannot be resolved" in line


def test_interrupt_ends_quietly() -> None:
    """Ctrl-C while a broker does not answer: exit code 130 and nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        servers = f"127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [COMMAND, "topics", "create"],
            env=environment(INGEST_KAFKA__BOOTSTRAP_SERVERS=servers),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            silent.accept()[0].close()  # it has come as far as asking
            connection = silent.accept()[0]
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
            connection.close()
    assert (process.returncode, out, err) == (130, "", "")


IMPORTS_INTERRUPTED = """
import signal

class Odd:
    def __set_name__(self, *_):
        signal.raise_signal(signal.SIGINT)

{place}
raise SystemExit(7)  # nothing happened
"""


@pytest.mark.parametrize("place", ["signal.raise_signal(signal.SIGINT)", "class C: odd = Odd()"])
@pytest.mark.parametrize("command", [[COMMAND], [sys.executable, "-m", "ingest_service"]])
def test_interrupt_while_python_imports_ends_quietly(
    command: list[str], place: str, tmp_path: Path
) -> None:
    """Ctrl-C before the command line is there is 130 and nothing more, wherever it strikes."""
    (tmp_path / "typer.py").write_text(IMPORTS_INTERRUPTED.format(place=place))
    done = subprocess.run(
        command,
        check=False,
        env=environment(PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_interrupt_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """What was started with SIGINT ignored, as in a script's background, is not ended by one."""
    (tmp_path / "typer.py").write_text(
        IMPORTS_INTERRUPTED.format(place="signal.raise_signal(signal.SIGINT)")
    )
    done = subprocess.run(
        ["/bin/sh", "-c", 'trap "" INT; exec "$0"', COMMAND],
        check=False,
        env=environment(PYTHONPATH=str(tmp_path)),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 7


def test_runs_as_a_module() -> None:
    """`python -m ingest_service` is the command."""
    done = subprocess.run(
        [sys.executable, "-m", "ingest_service", "--version"],
        check=True,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"ingest-service {__version__}\n"


def test_only_the_command_that_is_asked_for_is_real() -> None:
    """The others stand in the list by their name and summary alone."""
    registered = {info.name: info.callback for info in assembled(["config"]).registered_commands}
    real = {name for name, call in registered.items() if call.__module__.endswith(f".{name}")}
    assert real == {"config"}
