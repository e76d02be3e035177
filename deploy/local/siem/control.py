"""The places that no real sink has: script faults, change settings, see what arrived."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from .faults import Fault
from .wire import HTML, Answer, as_json

if TYPE_CHECKING:
    from .server import Intake
    from .wire import Request

SHOWN_ENTRIES = 20
SHOWN_BYTES = 400


def controlled(intake: Intake, request: Request) -> Answer | None:
    """Answer a request for one of the stand-in's own places; None for any other."""
    try:
        return _answer(intake, request)
    except msgspec.ValidationError as mistake:
        return as_json(400, {"mistake": str(mistake)})
    except msgspec.DecodeError as mistake:
        return as_json(400, {"mistake": str(mistake)})


def _answer(intake: Intake, request: Request) -> Answer | None:
    match request.method, request.path:
        case "GET", "/":
            return Answer(200, _page(intake).encode(), HTML)
        case "GET", "/_arrived":
            return as_json(200, _arrived(intake, request.query))
        case "DELETE", "/_arrived":
            intake.arrived.clear()
        case "GET", "/_faults":
            return as_json(200, msgspec.to_builtins(intake.script.left))
        case "POST", "/_faults":
            intake.script.add(*msgspec.json.decode(request.body, type=list[Fault]))
        case "DELETE", "/_faults":
            intake.script.clear()
        case "GET", "/_settings":
            return as_json(200, msgspec.to_builtins(intake.api.settings))
        case "PUT", "/_settings":
            _change(intake.api.settings, msgspec.json.decode(request.body, type=dict[str, Any]))
        case _:
            return None
    return as_json(200, {})


def _change(settings: msgspec.Struct, wished: dict[str, Any]) -> None:
    """Change the settings that are named, all or none."""
    whole = {**msgspec.to_builtins(settings), **wished}
    new = msgspec.convert(whole, type(settings))
    for name in wished:
        setattr(settings, name, getattr(new, name))


def _arrived(intake: Intake, query: str) -> dict[str, Any]:
    """Return counts, positions, ids; `?counts` leaves ids and positions out."""
    arrived = intake.arrived
    told = {"sink": intake.api.name, **arrived.counts()}
    if "counts" not in parse_qs(query, keep_blank_values=True):
        told |= {"positions": arrived.places(), "ids": arrived.ids}
    return told


def _page(intake: Intake) -> str:
    """Return a page that shows what has come, and renews itself."""
    arrived = intake.arrived
    counts = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
        for name, value in arrived.counts().items()
    )
    newest = list(arrived.entries)[-SHOWN_ENTRIES:][::-1]
    rows = "".join(
        f"<li><code>{escape(each.raw[:SHOWN_BYTES].decode(errors='replace'))}</code></li>"
        for each in newest
    )
    return _PAGE.format(name=intake.api.name, counts=counts, rows=rows)


_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="refresh" content="2"><title>{name} stand-in</title>
<style>body {{font: 14px sans-serif; margin: 2em}} th {{text-align: left; padding-right: 1em}}
li {{margin: .5em 0; overflow-wrap: anywhere}}</style></head>
<body><h1>A local stand-in for {name}</h1><table>{counts}</table>
<h2>The newest entries</h2><ol>{rows}</ol></body></html>"""
