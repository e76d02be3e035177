"""The files that tell Grafana where dashboards and data sources are."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from dashboards import dashboards

ROOT = Path(__file__).parents[3]
PROVISIONING = ROOT / "grafana" / "provisioning"
PAGE = ROOT / "docs" / "dashboards.md"


def sources() -> dict[str, dict[str, object]]:
    document = yaml.safe_load((PROVISIONING / "datasources" / "sark.yaml").read_text())
    return {source["type"]: source for source in document["datasources"]}


def test_data_sources_are_of_the_types_that_dashboards_choose_from() -> None:
    """Each type of data source that a dashboard lets choose is provisioned."""
    chosen = {
        variable["query"]
        for dashboard in dashboards().values()
        for variable in dashboard["templating"]["list"]
        if variable["type"] == "datasource"
    }
    assert chosen == set(sources())


def test_no_secret_is_written_down() -> None:
    """The database's password comes from a mounted file."""
    database = sources()["grafana-postgresql-datasource"]
    assert database["secureJsonData"]["password"].startswith("$__file{")


def test_every_variable_is_explained() -> None:
    """The page says what each variable of the files is for."""
    text = (PROVISIONING / "datasources" / "sark.yaml").read_text()
    named = re.findall(r"\$\{(\w+)\}", text)
    assert named
    for name in named:
        assert f"`{name}`" in PAGE.read_text()


def test_dashboards_cannot_drift_in_the_browser() -> None:
    """What is changed in a browser is not kept: the code is the dashboard."""
    document = yaml.safe_load((PROVISIONING / "dashboards" / "sark.yaml").read_text())
    [provider] = document["providers"]
    assert provider["allowUiUpdates"] is False
    assert provider["options"]["path"] in PAGE.read_text()
