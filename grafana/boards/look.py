"""How panels look: one function for each kind; what is good is green on all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    gauge,
    piechart,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.piechart import PieChartLabels, PieChartType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grafana_foundation_sdk.cog.builder import Builder

    from boards.queries import Query

Limits = tuple[tuple[float | None, str], ...]
"""From which value on a panel has which colour; the first has no bound."""

GREEN, YELLOW, RED, GREY = "green", "yellow", "red", "#6e7681"
PANEL_WIDTH = 12
ANY_IS_BAD: Limits = ((None, GREEN), (1, RED))
NO_JUDGEMENT: Limits = ((None, "blue"),)
DECISIONS = {"allow": GREEN, "deny": RED}


def lines(
    title: str, answers: str, *queries: Query, unit: str, width: int = PANEL_WIDTH
) -> dashboard.Panel:
    """Draw series over time, each a line, with its last and greatest value in the legend."""
    panel = timeseries.Panel().unit(unit).min(0).line_width(2).fill_opacity(8)
    panel.show_points(looks.VisibilityMode.NEVER).legend(_legend(width)).tooltip(_tooltip())
    return _finished(panel, title, answers, queries, width=width, height=8)


def areas(
    title: str, answers: str, *queries: Query, unit: str, width: int = PANEL_WIDTH
) -> dashboard.Panel:
    """Draw series over time, each stacked on the one before: together they are the whole."""
    panel = timeseries.Panel().unit(unit).min(0).line_width(1).fill_opacity(60)
    panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL).group("A"))
    panel.show_points(looks.VisibilityMode.NEVER).legend(_legend(width)).tooltip(_tooltip())
    return _finished(panel, title, answers, queries, width=width, height=8)


def states(
    title: str, answers: str, *queries: Query, meanings: Mapping[str, tuple[str, str]], width: int
) -> dashboard.Panel:
    """Draw what state each series was in over time; `meanings` has a word and colour a value."""
    panel = statetimeline.Panel().mappings([_meanings(meanings)]).fill_opacity(70)
    panel.show_value(looks.VisibilityMode.NEVER).color_scheme(_by_thresholds())
    panel.legend(_legend(width))
    return _finished(panel, title, answers, queries, width=width, height=6)


def stat_panel(
    title: str,
    answers: str,
    *queries: Query,
    unit: str,
    limits: Limits,
    missing: tuple[str, str],
    width: int = 4,
    height: int = 4,
) -> dashboard.Panel:
    """Draw a number on its colour; `missing` says, and colours, that there is none.

    Grafana paints an absent number in the first colour, green: a dead worker would look healthy.
    """
    panel = stat.Panel().unit(unit).thresholds(_thresholds(limits)).mappings([_missing(missing)])
    panel.color_mode(looks.BigValueColorMode.BACKGROUND).graph_mode(looks.BigValueGraphMode.NONE)
    panel.color_scheme(_by_thresholds()).reduce_options(_last())
    return _finished(panel, title, answers, queries, width=width, height=height)


def gauge_panel(
    title: str, answers: str, query: Query, *, limits: Limits, missing: tuple[str, str], width: int
) -> dashboard.Panel:
    """Draw a ratio on a dial from 0 to 100 %."""
    panel = (
        gauge.Panel().unit("percentunit").decimals(1).min(0).max(1).thresholds(_thresholds(limits))
    )
    panel.mappings([_missing(missing)]).color_scheme(_by_thresholds()).reduce_options(_last())
    return _finished(panel, title, answers, [query], width=width, height=8)


def bars(
    title: str,
    answers: str,
    *queries: Query,
    limits: Limits,
    missing: tuple[str, str],
    width: int,
    height: int,
) -> dashboard.Panel:
    """Draw ratios as bars that fill up from 0 to 100 %."""
    panel = (
        bargauge.Panel()
        .unit("percentunit")
        .decimals(1)
        .min(0)
        .max(1)
        .thresholds(_thresholds(limits))
    )
    panel.orientation(looks.VizOrientation.HORIZONTAL).reduce_options(_last())
    panel.display_mode(looks.BarGaugeDisplayMode.BASIC).color_scheme(_by_thresholds())
    panel.mappings([_missing(missing)])
    return _finished(panel, title, answers, queries, width=width, height=height)


def donut(title: str, answers: str, query: Query, *, width: int) -> dashboard.Panel:
    """Draw the parts of a whole as a ring."""
    panel = piechart.Panel().unit("short").decimals(0).pie_type(PieChartType.DONUT)
    panel.display_labels([PieChartLabels.NAME, PieChartLabels.PERCENT]).reduce_options(_last())
    panel.hide_from(common.HideSeriesConfig().tooltip(False).legend(False).viz(False))
    return _finished(panel, title, answers, [query], width=width, height=8)


def rows(
    title: str,
    answers: str,
    query: Query,
    *,
    names: Mapping[str, str] | None = None,
    width: int = PANEL_WIDTH,
) -> dashboard.Panel:
    """Draw a table; of a query to Prometheus the columns in `names`, in that order, so called."""
    panel = table.Panel().cell_height(looks.TableCellHeight.SM).filterable(True)
    if names:
        panel.with_transformation(_columns(names))
    return _finished(panel, title, answers, [query], width=width, height=8)


def coloured(panel: dashboard.Panel, colours: Mapping[str, str]) -> dashboard.Panel:
    """Give series the colours that belong to their names."""
    for name, colour in colours.items():
        fixed: object = {"mode": "fixed", "fixedColor": colour}
        override(panel, name, color=fixed)
    return panel


def override(panel: dashboard.Panel, name: str, **properties: object) -> dashboard.Panel:
    """Let one series or column look different from the panel's others."""
    assert panel.field_config is not None
    panel.field_config.overrides.append(
        dashboard.DashboardFieldConfigSourceOverrides(
            matcher=dashboard.MatcherConfig(id_val="byName", options=name),
            properties=[
                dashboard.DynamicConfigValue(id_val=id_val, value=value)
                for id_val, value in properties.items()
            ],
        )
    )
    return panel


def marked(panel: dashboard.Panel, limits: Limits) -> dashboard.Panel:
    """Draw an alert's thresholds as lines across the panel."""
    assert panel.field_config is not None
    defaults = panel.field_config.defaults
    defaults.thresholds = _thresholds(limits).build()
    assert isinstance(defaults.custom, looks.GraphFieldConfig)
    defaults.custom.thresholds_style = looks.GraphThresholdsStyleConfig(
        mode=looks.GraphThresholdsStyleMode.DASHED
    )
    return panel


def _finished(
    builder: Builder[dashboard.Panel],
    title: str,
    answers: str,
    queries: Sequence[Query],
    *,
    width: int,
    height: int,
) -> dashboard.Panel:
    panel = builder.build()
    panel.title, panel.description = title, answers
    panel.grid_pos = dashboard.GridPos(w=width, h=height)
    for letter, query in zip("ABCDEFGH", queries, strict=False):
        query.ref_id = letter
    panel.targets = list(queries)
    panel.datasource = queries[0].datasource
    if panel.field_config is None:
        panel.field_config = dashboard.FieldConfigSource()
    return panel


def _legend(width: int) -> common.VizLegendOptions:
    """Below the panel in one line, so that the lines keep their height; beside one that is wide."""
    wide = width > PANEL_WIDTH
    legend = common.VizLegendOptions().show_legend(True).calcs(["lastNotNull", "max"])
    legend.display_mode(looks.LegendDisplayMode.TABLE if wide else looks.LegendDisplayMode.LIST)
    return legend.placement(looks.LegendPlacement.RIGHT if wide else looks.LegendPlacement.BOTTOM)


def _tooltip() -> common.VizTooltipOptions:
    tooltip = common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI)
    return tooltip.sort(looks.SortOrder.DESCENDING)


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def _thresholds(limits: Limits) -> build.ThresholdsConfig:
    steps = [dashboard.Threshold(value=value, color=colour) for value, colour in limits]
    return build.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def _by_thresholds() -> build.FieldColor:
    return build.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS)


def _meanings(meanings: Mapping[str, tuple[str, str]]) -> dashboard.ValueMap:
    return dashboard.ValueMap(
        options={
            value: dashboard.ValueMappingResult(text=word, color=colour)
            for value, (word, colour) in meanings.items()
        }
    )


def _missing(missing: tuple[str, str]) -> dashboard.SpecialValueMap:
    word, colour = missing
    return dashboard.SpecialValueMap(
        options=dashboard.DashboardSpecialValueMapOptions(
            match=dashboard.SpecialValueMatch.NULL_AND_NAN,
            result=dashboard.ValueMappingResult(text=word, color=colour),
        )
    )


def _columns(names: Mapping[str, str]) -> dashboard.DataTransformerConfig:
    left_out = {"Time", "job", "Value"} - set(names)
    return dashboard.DataTransformerConfig(
        id_val="organize",
        options={
            "excludeByName": dict.fromkeys(sorted(left_out), True),
            "indexByName": {name: place for place, name in enumerate(names)},
            "renameByName": dict(names),
        },
    )
