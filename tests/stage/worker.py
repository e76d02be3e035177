"""A real `ingest-service persist` process."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

from stage.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence


class Worker:
    """One persister or forwarder process; its log is a file of JSON lines."""

    def __init__(
        self,
        name: str,
        log: Path,
        environment: dict[str, str],
        command: Sequence[str] = ("persist",),
    ) -> None:
        self.name = name
        self.log = log
        self._peak_mib = 0
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*_program(environment), *command],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self.peak_mib()
        self.process.send_signal(number)

    @property
    def returncode(self) -> int | None:
        """The exit code, once it has ended."""
        return self.process.poll()

    def peak_mib(self) -> int:
        """Return the most memory that was ever seen resident, also after it has ended."""
        with suppress(OSError):
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            kib = [int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line]
            self._peak_mib = max(self._peak_mib, *(each // 1024 for each in kib), 0)
        return self._peak_mib

    async def ended(self, seconds: float = 40) -> int:
        """Return the exit code as soon as it has ended."""

        async def has_ended() -> bool:
            self.peak_mib()
            return self.returncode is not None

        await until(has_ended, seconds=seconds, what=f"{self.name} has ended; {self.tail()}")
        code = self.returncode
        assert code is not None
        return code

    def lines(self) -> list[dict[str, object]]:
        """Return the log so far."""
        return [
            json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")
        ]

    def tail(self) -> str:
        """Return the end of the log, for a failure's message."""
        return self.log.read_text()[-3000:]

    async def logged(self, text: str, seconds: float = 40) -> None:
        """Return once the log says this."""

        async def has_logged() -> bool:
            assert self.returncode is None, f"{self.name} has ended; {self.tail()}"
            return text in self.log.read_text()

        await until(has_logged, seconds=seconds, what=f"{self.name} says {text!r}; {self.tail()}")

    async def stopped(self, partition: int) -> None:
        """Return once the log says that this partition stopped."""

        async def has_stopped() -> bool:
            return any(
                line["event"] == "partition stopped" and line["partition"] == partition
                for line in self.lines()
            )

        await until(has_stopped, what=f"partition {partition} stopped; {self.tail()}")

    async def get(self, path: str) -> tuple[int, str]:
        """Ask the worker's HTTP endpoint; return status and body."""
        await self.logged("serving metrics and health")
        port = next(line["port"] for line in self.lines() if "port" in line)
        return await asyncio.to_thread(_get, f"http://127.0.0.1:{port}{path}")

    async def counted(self, metric: str) -> float:
        """Return a metric of this worker, summed over its labels."""
        _, page = await self.get("/metrics")
        lines = [
            line for line in page.splitlines() if line.startswith((f"{metric}{{", f"{metric} "))
        ]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def end(self) -> None:
        """End it whatever it does."""
        if self.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()


def _program(environment: dict[str, str]) -> list[str]:
    hurried = Path(__file__).with_name("hurried.py")
    if "STAGE_CONSTANTS" in environment:
        return [sys.executable, "-P", str(hurried)]
    return [sys.executable, "-m", "ingest_service"]


def _get(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as exc:
        return exc.code, exc.read().decode()
