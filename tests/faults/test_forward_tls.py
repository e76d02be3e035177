"""Certificates that are expired, for another host, or rotated: no plain text, nothing dropped."""

from __future__ import annotations

import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from ingest_service.adapters.http import HttpSender, Tls
from ingest_service.errors import SinkUnavailableError
from siem import stand_in

if TYPE_CHECKING:
    from pathlib import Path

HEADERS = {"Authorization": "Splunk local-splunk-token"}
BODY = b'{"event":{"id":"1"}}'


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def authority(folder: Path) -> Path:
    """Make an authority and return its certificate's file."""
    folder.mkdir()
    new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem"]
    usage = ["-addext", "keyUsage=critical,keyCertSign", "-days", "2", "-subj", "/CN=authority"]
    openssl(folder, *new, *usage)
    return folder / "ca.pem"


def server(ca: Path, host: str = "IP:127.0.0.1", days: int = 2) -> ssl.SSLContext:
    """Return what a server shows that this authority vouches for."""
    folder = ca.parent
    request = ["req", "-newkey", "rsa:2048", "-nodes", "-keyout", "s.key", "-out", "s.csr"]
    openssl(folder, *request, "-subj", "/CN=collector")
    (folder / "ext").write_text(f"subjectAltName={host}\n")
    sign = ["x509", "-req", "-in", "s.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", "ext"]
    openssl(folder, *sign, "-out", "s.pem", "-days", str(days), "-CAcreateserial")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "s.pem", folder / "s.key")
    return context


async def post(sender: HttpSender, url: str) -> int:
    return (await sender.post(f"{url}/services/collector/event", HEADERS, BODY)).status


@pytest.mark.parametrize(
    ("host", "days"), [("DNS:elsewhere.example", 2), ("IP:127.0.0.1", -1)], ids=["host", "expired"]
)
async def test_certificate_that_is_not_good_gets_nothing(
    tmp_path: Path, host: str, days: int
) -> None:
    """Neither the event nor the token leaves, and the message says what is wrong."""
    ca = authority(tmp_path / "ca")
    async with stand_in(tls=server(ca, host, days)) as siem, HttpSender(Tls(cafile=ca)) as sender:
        with pytest.raises(SinkUnavailableError, match="certificate is not accepted"):
            await post(sender, siem.splunk.url)
        assert siem.splunk.arrived.requests == 0
    async with stand_in(tls=server(ca, host, days)) as siem:
        async with HttpSender(Tls(verify=False)) as sender:
            assert await post(sender, siem.splunk.url) == 200


async def test_authority_rotated_on_disk_is_taken_without_a_restart(tmp_path: Path) -> None:
    """The server has a new authority; as soon as its file is in place requests arrive again."""
    old, new = authority(tmp_path / "old"), authority(tmp_path / "new")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(old.read_bytes())
    async with HttpSender(Tls(cafile=trusted)) as sender:
        async with stand_in(tls=server(old)) as siem:
            assert await post(sender, siem.splunk.url) == 200
        async with stand_in(tls=server(new)) as siem:
            with pytest.raises(SinkUnavailableError):
                await post(sender, siem.splunk.url)
            trusted.write_bytes(new.read_bytes())
            with pytest.raises(SinkUnavailableError):
                await post(sender, siem.splunk.url)  # after which the file is read again
            assert await post(sender, siem.splunk.url) == 200


async def test_file_in_the_middle_of_its_rotation_ends_nothing(tmp_path: Path) -> None:
    """A file that holds no certificate for a moment is one more failure, not the end."""
    ca = authority(tmp_path / "ca")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority(tmp_path / "other").read_bytes())
    async with stand_in(tls=server(ca)) as siem, HttpSender(Tls(cafile=trusted)) as sender:
        trusted.write_text("")
        for _ in range(2):
            with pytest.raises(SinkUnavailableError):
                await post(sender, siem.splunk.url)
        trusted.write_bytes(ca.read_bytes())
        with pytest.raises(SinkUnavailableError):
            await post(sender, siem.splunk.url)
        assert await post(sender, siem.splunk.url) == 200
