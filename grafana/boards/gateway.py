"""The dashboard "SARK Gateway Integration": what the gateways decided, how fast, and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boards.frame import firing, framed, label_variable, late
from boards.look import (
    DECISIONS,
    GREEN,
    GREY,
    NO_JUDGEMENT,
    RED,
    YELLOW,
    areas,
    coloured,
    donut,
    gauge_panel,
    lines,
    marked,
    override,
    rows,
    stat_panel,
)
from boards.queries import now, now_as_table, over_time, sql

if TYPE_CHECKING:
    from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

REQUESTS = "sark_gateway_authz_requests_total"
CHOSEN = '{server=~"$server", action=~"$action"}'
RATE = f"sark:gateway_authz_requests:rate5m{CHOSEN}"


def gateway_integration() -> Dashboard:
    """Return the dashboard."""
    return framed(
        "sark-gateway-integration",
        "SARK Gateway Integration",
        "What the gateways decided, counted from audit events when they are durable: while the "
        "persister is behind, so are these figures (dashboard SARK Audit Pipeline).",
        sections=[("", _panels())],
        variables=[
            label_variable("server", "Server", REQUESTS),
            label_variable("action", "Action", REQUESTS),
        ],
        annotations=[firing("gateway|publisher"), late()],
        span="now-3h",
    )


def _panels() -> list[Panel]:
    return [
        _requests(),
        _latency(),
        _decisions(),
        _cache_hits(),
        _agent_messages(),
        _errors(),
        _denied_users(),
        _tools(),
        _connections(),
        _events_logged(),
        _by_server(),
    ]


def _requests() -> Panel:
    panel = lines(
        "Authorization requests",
        "How many requests a second the gateways allowed and denied.",
        over_time(f"sum by (decision) ({RATE})", "{{decision}}"),
        unit="reqps",
    )
    return coloured(panel, DECISIONS)


def _latency() -> Panel:
    # The recording rule has no exemplars, so the buckets themselves are asked.
    def quantile(share: float) -> str:
        return f"""histogram_quantile({share}, sum by (le) (rate(
            sark_gateway_authz_latency_seconds_bucket{{action=~"$action"}}[$__rate_interval])))"""

    panel = lines(
        "Authorization latency",
        "How long a decision took for half, 95 % and 99 % of the requests. The alerts' bounds for "
        "P95 are dashed: 50 ms and 100 ms. All servers: the histogram is kept by action alone. A "
        "dot is one request, with its id.",
        over_time(quantile(0.5), "P50"),
        over_time(quantile(0.95), "P95", exemplars=True),
        over_time(quantile(0.99), "P99"),
        unit="s",
    )
    return marked(panel, ((None, GREEN), (0.05, YELLOW), (0.1, RED)))


def _decisions() -> Panel:
    panel = donut(
        "Allow and deny",
        "Which part of the requests was denied, over the whole range.",
        now(f"sum by (decision) (increase({REQUESTS}{CHOSEN}[$__range]))", "{{decision}}"),
        width=6,
    )
    return coloured(panel, DECISIONS)


def _cache_hits() -> Panel:
    return gauge_panel(
        "Cache hit rate",
        "Which part of the decisions of the last 5 minutes came from the policy cache. All "
        "servers and actions: hits have no labels.",
        now("sark:gateway_cache_hits:ratio_rate5m"),
        limits=((None, RED), (0.7, YELLOW), (0.9, GREEN)),
        missing=("no traffic", GREY),
        width=6,
    )


def _agent_messages() -> Panel:
    panel = lines(
        "A2A requests",
        "How many messages a second between agents were allowed and denied. They have neither "
        "server nor action.",
        over_time("sum by (decision) (sark:a2a_authz_requests:rate5m)", "{{decision}}"),
        unit="reqps",
    )
    return coloured(panel, DECISIONS)


def _errors() -> Panel:
    return lines(
        "Errors",
        "How many calls a second of the gateways' client failed, by what was tried and how it "
        "failed. All servers and actions.",
        over_time("sark:gateway_client_errors:rate5m", "{{operation}} - {{error_type}}"),
        unit="ops",
    )


def _denied_users() -> Panel:
    panel = rows(
        "Top denied users",
        "Who was denied most often, where and why mostly; an agent where no user stands behind it. "
        "From the database, since no metric has user ids. All servers and actions.",
        sql("denied_users"),
    )
    panel.time_from = "1h"
    return panel


def _tools() -> Panel:
    invoked = 'sark_gateway_tool_invocations_total{server=~"$server"}'
    panel = rows(
        "Top invoked tools",
        "Which tools were called most often in the range, allowed or not. `other`: names beyond "
        "the metric's bound.",
        now_as_table(f"topk(10, sum by (tool, server) (increase({invoked}[$__range])))"),
        names={"tool": "Tool", "server": "Server", "Value": "Invocations"},
    )
    return override(panel, "Invocations", decimals=0)


def _connections() -> Panel:
    return stat_panel(
        "Active connections",
        "Connections that the gateways hold open, as they last said; one that is silent for a "
        "while no longer counts.",
        now("sark:gateway_active_connections:sum", "{{connection_type}}"),
        unit="short",
        limits=NO_JUDGEMENT,
        missing=("no gateway says", GREY),
        width=6,
        height=8,
    )


def _events_logged() -> Panel:
    return stat_panel(
        "Audit events logged",
        "How many audit events became rows of the database in the range, telemetry among them. "
        "From its ledger: counters begin again at zero with each worker. All servers and actions.",
        sql("events_logged"),
        unit="locale",
        limits=NO_JUDGEMENT,
        missing=("none", GREY),
        width=6,
        height=8,
    )


def _by_server() -> Panel:
    return areas(
        "Requests by server",
        "Which servers the requests were for. `none`: the event named no server; `other`: names "
        "beyond the metric's bound.",
        over_time(f"sum by (server) ({RATE})", "{{server}}"),
        unit="reqps",
        width=24,
    )
