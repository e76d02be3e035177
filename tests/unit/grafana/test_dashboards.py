"""What the shipped dashboards promise whoever opens them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

import build
from dashboards import FOLDER, dashboards, panels

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS = ("titleFormat", "textFormat")
"""What the SDK's type of an annotation does not know."""

EACH = pytest.mark.parametrize("name", sorted(dashboards()))


def within(value: Any) -> Iterator[Any]:
    """Yield everything in a JSON document."""
    yield value
    members = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list):
        for member in members:
            yield from within(member)


def test_files_are_what_the_code_writes() -> None:
    """The committed JSON and the tables of the documentation are those of the code."""
    for path, text in build.files().items():
        assert path.read_text() == text, "run: python grafana/build.py"


def test_every_file_has_its_code() -> None:
    """No dashboard lies in the folder that the code does not write."""
    assert {path.stem for path in FOLDER.iterdir()} == set(build.dashboards())


@EACH
def test_round_trip_through_grafanas_types(name: str) -> None:
    """What Grafana's own types read from the JSON, they write back the same."""
    plugins.register_default_plugins()
    dashboard = dashboards()[name]
    for mark in dashboard["annotations"]["list"]:
        for word in WORDS:
            del mark[word]
    assert json.loads(build.encoded(Dashboard.from_json(dashboard))) == dashboard


@EACH
def test_data_sources_are_the_readers_choice(name: str) -> None:
    """No dashboard knows the id of a data source; each variable used is one that it has."""
    dashboard = dashboards()[name]
    chosen = {f"${{{v['name']}}}" for v in dashboard["templating"]["list"]}
    named = [
        v["datasource"] for v in within(dashboard) if isinstance(v, dict) and "datasource" in v
    ]
    assert named
    assert {source["uid"] for source in named} <= chosen
    for panel in panels(dashboard):
        assert {target["datasource"]["type"] for target in panel["targets"]} == {
            panel["datasource"]["type"]
        }


@EACH
def test_refreshes_itself(name: str) -> None:
    """A dashboard on a wall is never older than half a minute, and marks the alerts."""
    dashboard = dashboards()[name]
    assert dashboard["refresh"] == "30s"
    assert any("ALERTS{" in mark["expr"] for mark in dashboard["annotations"]["list"])


@EACH
def test_panels_fill_the_grid(name: str) -> None:
    """Panels lie beside and under each other without a gap or an overlap."""
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboards()[name]["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]
    height = 1 + max(y for _, y in taken)
    assert len(taken) == 24 * height


@EACH
def test_each_panel_says_what_it_answers(name: str) -> None:
    """Every panel has a number and a title of its own, a unit and a sentence for its reader."""
    shown = panels(dashboards()[name])
    assert len({panel["id"] for panel in shown}) == len(shown)
    assert len({panel["title"] for panel in shown}) == len(shown)
    for panel in shown:
        assert panel["description"].rstrip("`").endswith((".", ")")), panel["title"]
        if panel["type"] not in {"table", "state-timeline"}:
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


@EACH
def test_absent_number_is_not_green(name: str) -> None:
    """A number that is not there has a word and a colour of its own: absent is not healthy."""
    for panel in panels(dashboards()[name]):
        if panel["type"] not in {"stat", "gauge", "bargauge"}:
            continue
        [mapping] = panel["fieldConfig"]["defaults"]["mappings"]
        assert mapping["options"]["match"] == "null+nan"
        assert mapping["options"]["result"]["text"]
        assert mapping["options"]["result"]["color"] in {"red", "#6e7681"}


@EACH
def test_numbers_are_of_now(name: str) -> None:
    """A single number is asked for at this moment: one of a worker that died is not shown on."""
    for panel in panels(dashboards()[name]):
        if panel["type"] in {"stat", "gauge", "bargauge", "piechart", "table"}:
            for target in panel["targets"]:
                assert target.get("instant") or "rawSql" in target, panel["title"]


def test_gateway_dashboard_has_its_eleven_panels() -> None:
    """The gateway's dashboard shows the eleven things that were asked for, in order."""
    shown = panels(dashboards()["gateway-integration"])
    assert [(panel["type"], panel["title"]) for panel in shown] == [
        ("timeseries", "Authorization requests"),
        ("timeseries", "Authorization latency"),
        ("piechart", "Allow and deny"),
        ("gauge", "Cache hit rate"),
        ("timeseries", "A2A requests"),
        ("timeseries", "Errors"),
        ("table", "Top denied users"),
        ("table", "Top invoked tools"),
        ("stat", "Active connections"),
        ("stat", "Audit events logged"),
        ("timeseries", "Requests by server"),
    ]


def test_gateway_dashboard_lets_servers_and_actions_be_chosen() -> None:
    """Several servers and actions can be chosen at once, or all."""
    variables = {v["name"]: v for v in dashboards()["gateway-integration"]["templating"]["list"]}
    assert {"datasource", "server", "action"} <= set(variables)
    for name in ("server", "action"):
        assert variables[name]["multi"]
        assert variables[name]["includeAll"]
        assert variables[name]["allValue"] == ".*"


def test_decisions_have_their_colours() -> None:
    """Wherever decisions are told apart, what was allowed is green and what was denied is red."""
    shown = panels(dashboards()["gateway-integration"])
    by_decision = [p for p in shown if p["targets"][0].get("legendFormat") == "{{decision}}"]
    assert len(by_decision) == 3
    for panel in by_decision:
        colours = {
            override["matcher"]["options"]: override["properties"][0]["value"]["fixedColor"]
            for override in panel["fieldConfig"]["overrides"]
        }
        assert colours == {"allow": "green", "deny": "red"}


def test_cache_gauge_turns_at_70_and_90_percent() -> None:
    """The cache's hit rate is red below 70 %, yellow below 90 %, and green from there."""
    gauge = next(p for p in panels(dashboards()["gateway-integration"]) if p["type"] == "gauge")
    steps = gauge["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(step["value"], step["color"]) for step in steps] == [
        (None, "red"),
        (0.7, "yellow"),
        (0.9, "green"),
    ]


def test_server_panel_is_stacked() -> None:
    """Requests by server lie on each other, so that their sum is the whole."""
    panel = panels(dashboards()["gateway-integration"])[-1]
    assert panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"


def test_pipeline_begins_with_whether_anything_is_lost_or_late() -> None:
    """What an SRE needs at night stands first, under its question."""
    first = dashboards()["pipeline"]["panels"][0]
    assert (first["type"], first["title"]) == ("row", "Is anything being lost, or late?")
