"""`make up`: the whole main path on this machine, with sample events, until Ctrl-C.

servers → topics → schema → a persister as least-privileged role, a forwarder to stand-ins for
Splunk and Datadog → sample events → Prometheus, where it is had quickly → a live table
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import monitoring
from database import prepare_database, prepare_writer
from service import Service, StepFailedError
from sinks import Sinks, forget_real_sinks
from stack.choose import NoServerError
from stack.process import StartFailedError, last_words, reusable, write_pid_file
from stack.servers import open_servers
from stack.state import LOOPBACK, State
from watch import watch

if TYPE_CHECKING:
    from stack.servers import Servers

NAME = "up"
HTTP_PORT, FORWARD_PORT = 9464, 9465

NEXT = """
What to try next, in another terminal, in this folder:
  make sql Q="select decision, count(*) from gateway_audit_events group by 1"
  curl http://{metrics}/metrics   (and /health/detailed; the forwarder: http://{forward}/metrics){prometheus}
  a browser on {splunk}/ and {datadog}/   (what has reached the two stand-ins)
  curl -d '[{{"status": 503, "times": 0}}]' {splunk}/_faults   (Splunk goes down: Kafka keeps its
    events, Datadog goes on; `curl -X DELETE` of the same mends it)
  . {environment}   (settings for the commands below)
  .venv/bin/ingest-service publish --sample 1000
  .venv/bin/ingest-service verify
Logs are in {logs}.
Ctrl-C here stops everything; the data stays until `make down CLEAN=1`.
"""


def main() -> int:
    """Run until Ctrl-C and return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    state = State.shared()
    if reusable(state, NAME):
        say("`make up` runs already: `make sql` asks its database, `make down` stops it.")
        return 0
    write_pid_file(state, NAME, signal.SIGTERM)
    with ExitStack() as stops:
        stops.callback(state.pid_file(NAME).unlink, missing_ok=True)
        try:
            return _run(state, stops)
        except (KeyboardInterrupt, BrokenPipeError):  # Ctrl-C, or the end of `make up | head`
            return 0
        except (NoServerError, StartFailedError, StepFailedError) as failure:
            say(str(failure))
            return 1
        finally:
            # From here on a second Ctrl-C would only leave things half stopped.
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            say("Stopping ...")


def _run(state: State, stops: ExitStack) -> int:
    servers = stops.enter_context(open_servers(state, say))
    service = _prepare(state, servers)
    say("Starting stand-ins for Splunk and Datadog")
    stops.callback(service.sinks.start(state).stop)
    say("Starting the persister, the forwarder and a stream of sample events")
    workers = [service.start("persist", "persist"), service.forward()]
    for server in (*workers, service.publish_samples()):
        stops.callback(server.stop)
    watching = monitoring.start(service, say)
    if watching is not None:
        stops.callback(watching.server.stop)
    say(_next(service, watching.hint if watching else ""))
    return _ended(state, asyncio.run(watch(service, workers)).name)


def _next(service: Service, prometheus: str) -> str:
    return NEXT.format(
        prometheus=prometheus,
        metrics=f"{LOOPBACK}:{service.http_port}",
        forward=f"{LOOPBACK}:{service.forward_port}",
        splunk=service.sinks.splunk_url,
        datadog=service.sinks.datadog_url,
        environment=_from_here(service.write_environment()),
        logs=_from_here(service.state.folder("logs")),
    )


def _prepare(state: State, servers: Servers) -> Service:
    """Make the topics, the schema and the persister's own login role."""
    dsn = asyncio.run(prepare_database(servers)) if servers.database_is_ours else servers.dsn
    state.keep("dsn", dsn)
    if forget_real_sinks():
        say("The sinks that the environment names are left out: samples go to the stand-ins alone")
    service = Service(
        state,
        servers.bootstrap,
        owner_dsn=dsn,
        writer_dsn=dsn,
        sinks=Sinks.of(state),
        http_port=state.port("http", wish=HTTP_PORT),
        forward_port=state.port("forward", wish=FORWARD_PORT),
    )
    say("Creating the topics")
    service.run("topics", "create")
    say("Migrating the database")
    service.run("migrate", owner=True)
    if servers.database_is_ours:
        writer = asyncio.run(prepare_writer(dsn, state.password("ingest_writer")))
        return service.writing_as(writer)
    say("The persister uses the DSN given: no login role is made in a server that is not ours")
    return service


def _from_here(path: Path) -> Path:
    """Return the path as somebody who typed `make up` would type it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _ended(state: State, name: str) -> int:
    say(f"{name} ended by itself: {last_words(state.logs(name))}")
    return 1


def say(line: str) -> None:
    """Tell the person at the terminal, at once also when it is a pipe."""
    try:
        print(line, flush=True)
    except BrokenPipeError:  # Ctrl-C ended the reader of a pipe first: there is no one to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
