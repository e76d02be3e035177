"""`ingest-service config`: the settings in effect, each with where it came from."""

import json as jsonlib
import os
import shlex
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, NamedTuple

import typer
from pydantic import BaseModel, SecretStr

from ingest_service import settings
from ingest_service.dsn import MASK, masked
from ingest_service.settings_mistakes import PREFIX

_DSN = "INGEST_DATABASE__DSN"


class _Setting(NamedTuple):
    variable: str
    value: str | None
    source: str
    help: str


def config(
    json: Annotated[bool, typer.Option("--json", help="Print the settings as JSON.")] = False,
) -> None:
    """Show the settings in effect, with secrets masked.

    Each line is the environment variable that sets it; a # says where the value came from.

    Example: INGEST_KAFKA__TOPIC=audit ingest-service config
    """
    found = list(_effective(settings.load()))
    typer.echo(_as_json(found) if json else _as_text(found))


def _effective(loaded: settings.Settings) -> Iterator[_Setting]:
    files = settings.secret_files()
    variables = {variable.upper() for variable in os.environ}
    for group_name in type(loaded).model_fields:
        group: BaseModel = getattr(loaded, group_name)
        for name, field in type(group).model_fields.items():
            variable = f"{PREFIX}{group_name}__{name}".upper()
            source = (
                "environment"
                if variable in variables
                else "secrets directory"
                if variable in files
                else "default"
            )
            value = _shown(variable, getattr(group, name))
            yield _Setting(variable, value, source, field.description or "")


def _shown(variable: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return masked(value.get_secret_value()) if variable == _DSN else MASK
    return _duration(value) if isinstance(value, timedelta) else str(value)


def _duration(value: timedelta) -> str:
    """Write a duration as the settings take it, in the largest unit that divides it."""
    seconds = int(value.total_seconds())
    units = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
    unit = next(unit for unit, length in units.items() if seconds % length == 0)
    return f"{seconds // units[unit]}{unit}"


def _as_json(found: list[_Setting]) -> str:
    return jsonlib.dumps(
        {s.variable: {"value": s.value, "source": s.source, "help": s.help} for s in found},
        indent=2,
    )


def _as_text(found: list[_Setting]) -> str:
    lines = [
        (f"# {s.variable}=" if s.value is None else f"{s.variable}={shlex.quote(s.value)}", s)
        for s in found
    ]
    width = min(64, max(len(line) for line, _ in lines))
    return "\n".join(
        f"{line:<{width}}  # {'not set' if s.value is None else s.source}" for line, s in lines
    )
