"""What the dashboards and Prometheus' own files must agree on."""

from __future__ import annotations

from pathlib import Path

import yaml

from dashboards import dashboards, panels

ROOT = Path(__file__).parents[3]


def test_runbooks_that_panels_name_exist() -> None:
    """A panel that sends its reader to a runbook sends to one that there is."""
    runbooks = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            _, _, named = panel["description"].partition("Runbook")
            words = named.lstrip("s").replace(",", " ").replace(".", " ").split()
            assert not set(words) - {"and"} - runbooks, f"{name}: {panel['title']}"


def test_rates_know_the_scrape_interval() -> None:
    """The data source names the interval that Prometheus is told to scrape at."""
    prometheus = yaml.safe_load((ROOT / "prometheus" / "prometheus.yaml").read_text())
    grafana = yaml.safe_load((ROOT / "grafana/provisioning/datasources/sark.yaml").read_text())
    [source] = [source for source in grafana["datasources"] if source["type"] == "prometheus"]
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]
