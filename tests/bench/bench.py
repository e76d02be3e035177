r"""How fast is the persister beside one client-side `\copy` of the same rows? `make bench`.

Absolute figures say as much about the machine as about the code, so both are measured in one run,
in turns, and the median of the pairs' ratios is what to quote.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "deploy/local")]

import forward
from drain import Drained, Pair, drain, drain_afresh, export, pair
from latency import acknowledged, delays
from profile_stages import Profile
from rich.console import Console
from rich.table import Table
from traffic import fill

from servers import sources
from servers.databases import fresh_database
from stage import Stage, on_stage

CONSOLE = Console(stderr=True)


def main() -> None:
    """Measure, print a table, and JSON when asked."""
    options = _options()
    with ExitStack() as servers, tempfile.TemporaryDirectory() as folder:
        bootstrap = servers.enter_context(sources.kafka_bootstrap())
        if options.forward:
            _show_forwarding(
                asyncio.run(forward.measure(bootstrap, Path(folder), options)), options
            )
            return
        dsn = servers.enter_context(getattr(sources, f"{options.edition}_dsn")())
        figures = asyncio.run(_measure(bootstrap, dsn, Path(folder), options))
    if options.json:
        print(json.dumps({"options": vars(options), "figures": figures}))
    else:
        _show(figures, options)


def _show_forwarding(figures: dict[str, float], options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps({"options": vars(options), "figures": figures}))
    else:
        forward.show(figures, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--forward", action="store_true", help="Kafka → sinks that only count")
    parser.add_argument("--events", type=int, help="300,000; forwarding 1,000,000")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument(
        "--workers",
        type=int,
        nargs="*",
        default=[],
        help="also drain with so many (--workers 1 2 3)",
    )
    parser.add_argument("--edition", choices=["timescale", "plain"], default="timescale")
    parser.add_argument("--no-latency", action="store_true", help="throughput alone")
    parser.add_argument("--profile", metavar="FILE", help="write the drain's flame graph (SVG)")
    parser.add_argument("--json", action="store_true", help="print JSON to standard output")
    options = parser.parse_args()
    # A drain ends with the linger of the last batch: three seconds of forwarding say too little.
    options.events = options.events or (1_000_000 if options.forward else 300_000)
    return options


async def _measure(
    bootstrap: str, server_dsn: str, folder: Path, options: argparse.Namespace
) -> dict[str, float]:
    async with (
        fresh_database(server_dsn) as dsn,
        on_stage(
            bootstrap, f"bench.{uuid4().hex[:8]}", dsn, folder, partitions=options.partitions
        ) as stage,
    ):
        CONSOLE.print(f"filling a topic with {options.events} events (lz4)")
        await fill(bootstrap, stage.topic, options.events)
        CONSOLE.print(r"a first drain, for the file that \copy will read")
        profile = Profile(folder, options.profile)
        first = await drain(stage, options.events, profile=profile)
        await export(dsn, folder / "rows.copy")
        pairs = []
        for number in range(1, options.pairs + 1):
            pairs.append(await pair(stage, server_dsn, folder / "rows.copy", options.events))
            CONSOLE.print(
                f"pair {number}: copy {pairs[-1].copy_rows_per_second:,.0f} rows/s, "
                f"persist {pairs[-1].persist_rows_per_second:,.0f} rows/s, "
                f"ratio {pairs[-1].ratio:.2f}"
            )
        figures = _medians(pairs) | _by_stage(profile.stages(), first)
        for workers in options.workers:
            figures |= await _scaled(stage, server_dsn, options, workers)
    if not options.no_latency:
        half = int(figures["persist_rows_per_second"] / 2)
        figures |= await _delays(bootstrap, server_dsn, folder, half)
    return figures


def _medians(pairs: list[Pair]) -> dict[str, float]:
    figures = {
        name: statistics.median(asdict(each)[name] for each in pairs) for name in asdict(pairs[0])
    }
    return figures | {"ratio": statistics.median(each.ratio for each in pairs)}


def _by_stage(shares: dict[str, float], drained: Drained) -> dict[str, float]:
    """Return what each stage of the sampled drain cost a row."""
    return {f"cpu_us_{name}": share * drained.cpu_us_per_row for name, share in shares.items()}


async def _scaled(
    stage: Stage, server_dsn: str, options: argparse.Namespace, workers: int
) -> dict[str, float]:
    """Return how fast several workers are together, and how evenly they shared."""
    runs = [
        (await drain_afresh(stage, server_dsn, options.events, workers))[0]
        for _ in range(options.pairs)
    ]
    speed = statistics.median(each.rows_per_second for each in runs)
    least = statistics.median(min(each.shares) * workers for each in runs)
    CONSOLE.print(f"{workers} workers: {speed:,.0f} rows/s, the least had {least:.2f} of its share")
    return {f"rows_per_second_{workers}_workers": speed, f"least_share_{workers}_workers": least}


async def _delays(bootstrap: str, server_dsn: str, folder: Path, half: int) -> dict[str, float]:
    found = {}
    for name, rate, seconds, together in (
        ("half_load", half, 20, 100),
        ("trickle", 5, 30, 1),
    ):
        CONSOLE.print(f"delay from publish to committed row at {rate} events/s")
        async with (
            fresh_database(server_dsn) as dsn,
            on_stage(bootstrap, f"bench.{uuid4().hex[:8]}", dsn, folder, partitions=6) as stage,
        ):
            p50, p99 = await delays(stage, rate, seconds, together)
        found |= {f"{name}_delay_p50_ms": p50, f"{name}_delay_p99_ms": p99}
    async with (
        fresh_database(server_dsn) as dsn,
        on_stage(bootstrap, f"bench.{uuid4().hex[:8]}", dsn, folder, partitions=6) as stage,
    ):
        p50, p99 = await acknowledged(bootstrap, stage.topic)
    found |= {"log_gateway_event_p50_ms": p50, "log_gateway_event_p99_ms": p99}
    return found


def _show(figures: dict[str, float], options: argparse.Namespace) -> None:
    table = Table(
        title=f"{options.events} events, {options.edition}, {options.pairs} pairs, medians"
    )
    table.add_column("figure")
    table.add_column("median", justify="right")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:,.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
