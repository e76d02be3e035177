"""Prometheus beside a `make up`: where it is had quickly, with the rules, on both workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stack import prometheus
from stack.prometheus_source import had_quickly
from stack.state import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable

    from service import Service
    from stack.process import Server

WITH_PAGE = """
  a browser on {address}/alerts   (Prometheus, with the rules: what fires, and why)"""
WITHOUT_PAGE = """
  curl {address}/api/v1/alerts   (Prometheus, with the rules: what fires; this one has no page)"""


class Monitoring(NamedTuple):
    """A Prometheus that runs, and the line that tells a person what to do with it."""

    server: Server
    hint: str


def start(service: Service, say: Callable[[str], None]) -> Monitoring | None:
    """Start Prometheus on both workers; say why not where there is none."""
    programs = had_quickly(service.state)
    if programs is None:
        say("Prometheus: none here; with Go, `make prometheus` builds one in some minutes")
        return None
    say(f"Prometheus: {programs.origin}, with the rules of prometheus/rules")
    ports = {"ingest-persister": service.http_port, "ingest-forwarder": service.forward_port}
    targets = {job: [f"{LOOPBACK}:{port}"] for job, port in ports.items()}
    server = prometheus.start(service.state, programs, prometheus.Scraping(targets))
    hint = WITH_PAGE if programs.has_page else WITHOUT_PAGE
    return Monitoring(server, hint.format(address=server.address))
