"""What can be wrong with the environment before a setting is even read, and how it is said."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

PREFIX = "INGEST_"


def said(error: Any) -> str:
    """Say one of pydantic's errors by its variable; never the value, which may be a secret."""
    variable = PREFIX + "__".join(str(part).upper() for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{variable}: no such setting"
    message = error["msg"].removeprefix("Value error, ")
    return f"{variable}: {message[0].lower()}{message[1:]}"


def unknown_variables(environ: Mapping[str, str], groups: Collection[str]) -> list[str]:
    """Name misspelt groups: pydantic-settings passes over them in silence."""
    known = sorted(groups)
    found = []
    for variable in environ:
        group, nested, _ = variable.removeprefix(PREFIX).partition("__")
        if variable.startswith(PREFIX) and nested and group.lower() not in known:
            near = difflib.get_close_matches(group.lower(), known, 1)
            hint = f"; did you mean {PREFIX}{near[0].upper()}__...?" if near else ""
            found.append(f"{variable}: no such setting{hint}")
        elif variable.startswith(PREFIX) and not nested:
            group, _, name = group.partition("_")
            if group.lower() in known:
                found.append(f"{variable}: no such setting; did you mean {PREFIX}{group}__{name}?")
    return sorted(found)


def undecodable(environ: Mapping[str, str]) -> Iterator[str]:
    """Name variables that are not UTF-8: Python hands them on, and a driver stumbles over them."""
    for variable, value in environ.items():
        if variable.startswith(PREFIX) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                yield f"{variable}: not UTF-8"
