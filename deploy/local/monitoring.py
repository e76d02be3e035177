"""Prometheus beside a `make up`: where it is had quickly, with the rules, on both workers."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

from stack import prometheus
from stack.prometheus_source import had_quickly
from stack.state import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable

    from service import Service
    from stack.process import Server

# Debian's page is the old one; a Prometheus that Go built has none.
PAGES = ("/alerts", "/classic/alerts")
WITH_PAGE = """
  a browser on {page}   (Prometheus, with the rules: what fires, and why)"""
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
    pages = [server.address + page for page in PAGES if _is_there(server.address + page)]
    hint = WITH_PAGE.format(page=pages[0]) if pages else WITHOUT_PAGE.format(address=server.address)
    return Monitoring(server, hint)


def _is_there(page: str) -> bool:
    try:
        with urlopen(page, timeout=5) as answer:  # noqa: S310 - our own server
            return bool(answer.status == HTTPStatus.OK)
    except HTTPError:
        return False
