from __future__ import annotations

import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from ingest_service.adapters.kafka_options import client_options
from ingest_service.errors import SetupError
from ingest_service.settings import KafkaSettings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Return a certificate, its key, and the same key with a passphrase."""
    folder = tmp_path_factory.mktemp("tls")
    made, key, locked = (folder / name for name in ("cert.pem", "key.pem", "locked.pem"))
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "1",
            "-keyout", key, "-out", made)  # fmt: skip
    openssl("rsa", "-aes256", "-passout", "pass:canary", "-in", key, "-out", locked)
    return made, key, locked


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


def test_plain_connection_needs_only_servers() -> None:
    """Several servers are taken apart, and nothing secret is asked for."""
    options = client_options(KafkaSettings(bootstrap_servers="a:1, b:2,"))
    assert options["bootstrap_servers"] == ["a:1", "b:2"]
    assert options["security_protocol"] == "PLAINTEXT"
    assert not {"ssl_context", "sasl_mechanism"} & options.keys()


def test_sasl_carries_the_credentials() -> None:
    """User, password and mechanism reach the client under the names that aiokafka takes."""
    options = client_options(
        KafkaSettings(
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username="user",
            sasl_password="secret",
        )
    )
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert options["sasl_plain_username"] == "user"
    assert options["sasl_plain_password"] == "secret"
    assert "ssl_context" not in options


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
def test_broker_is_always_verified(protocol: str) -> None:
    """There is no way to switch the check of the broker's name or certificate off."""
    context = client_options(KafkaSettings(security_protocol=protocol))["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_own_authority_and_certificate_are_used(certificate: tuple[Path, Path, Path]) -> None:
    """A CA file replaces the system's authorities."""
    made, key, _ = certificate
    kafka = KafkaSettings(
        security_protocol="SSL", ssl_cafile=made, ssl_certfile=made, ssl_keyfile=key
    )
    context = client_options(kafka)["ssl_context"]
    assert context.cert_store_stats()["x509"] == 1


def test_locked_key_asks_nobody(certificate: tuple[Path, Path, Path]) -> None:
    """A key with a passphrase is refused at once: OpenSSL would ask on the terminal for ever."""
    made, _, locked = certificate
    kafka = KafkaSettings(security_protocol="SSL", ssl_certfile=made, ssl_keyfile=locked)
    with pytest.raises(SetupError, match="without a passphrase"):
        client_options(kafka)


def test_file_that_is_no_certificate_is_named_by_its_setting(tmp_path: Path) -> None:
    """The message says which settings to look at."""
    junk = tmp_path / "ca.pem"
    junk.write_text("junk")
    with pytest.raises(SetupError, match="INGEST_KAFKA__SSL_CAFILE"):
        client_options(KafkaSettings(security_protocol="SSL", ssl_cafile=junk))
