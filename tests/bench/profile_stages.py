"""Where a worker's time goes: py-spy's samples, as shares of stages or as a flame graph."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STAGES = {
    "fetch and unpack": ("AuditConsumer.fetch", "Fetcher.", "AIOKafkaConnection."),
    "decode": ("decode (ingest_service/events/v1/", "decoder.<locals>.decode"),
    "frame and chain": ("Segment.extend",),
    "COPY": ("copy_records_to_table", "WriterConnection._copy", "_prepare.<locals>"),
    "originals": ("Segment.pack", "WriterConnection.add_originals"),
    "ledger and locks": ("WriterConnection.",),
    "metrics": ("Writer._tell",),
}
"""What a sample belongs to: the innermost frame that names one of these."""
OTHER = "loop and the rest"
_IDLE = ("select (", "serve_forever")


class Profile:
    """Samples one process; `stages` says afterwards which part of the time each stage took."""

    def __init__(self, folder: Path, flame_graph: str | None = None) -> None:
        self._flame_graph = flame_graph
        self._output = Path(flame_graph) if flame_graph else folder / "stacks.txt"

    @contextmanager
    def of(self, pid: int) -> Iterator[None]:
        """Have py-spy look 200 times a second meanwhile."""
        kind = "flamegraph" if self._flame_graph else "raw"
        py_spy = str(Path(sys.executable).with_name("py-spy"))
        command = [py_spy, "record", "-r", "200", "-f", kind, "-o", str(self._output)]
        with subprocess.Popen([*command, "-p", str(pid)], stdout=subprocess.DEVNULL) as spy:
            yield
            # It may be the slower one to start; without a sample it writes nothing.
            while spy.poll() is None and not self._output.exists():
                spy.send_signal(signal.SIGINT)
                time.sleep(0.1)

    def stages(self) -> dict[str, float]:
        """Return each stage's share of the samples; nothing where py-spy was not let in."""
        if self._flame_graph or not self._output.exists():
            return {}
        seen: Counter[str] = Counter()
        for line in self._output.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            if not any(idle in stack for idle in _IDLE):
                seen[_stage(stack.split(";"))] += int(count)
        total = sum(seen.values())
        return {name: seen[name] / total for name in (*STAGES, OTHER)} if total else {}


def _stage(stack: list[str]) -> str:
    for frame in reversed(stack):
        for name, marks in STAGES.items():
            if any(mark in frame for mark in marks):
                return name
    return OTHER
