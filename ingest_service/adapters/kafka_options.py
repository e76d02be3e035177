"""How every Kafka client of ours connects: one reading of the settings, for all of them."""

import ssl
from typing import Any

from ingest_service import __version__
from ingest_service.errors import SetupError
from ingest_service.settings import KafkaSettings


def client_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the keyword arguments that every aiokafka client takes to connect and sign in.

    Raises `SetupError` when the certificates cannot be used. Without a CA file the system's
    authorities vouch for the broker; its name is always checked.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": [
            server.strip() for server in kafka.bootstrap_servers.split(",") if server.strip()
        ],
        "client_id": f"ingest-service-{__version__}",
        "security_protocol": kafka.security_protocol,
    }
    if "SSL" in kafka.security_protocol.split("_"):
        options["ssl_context"] = _ssl_context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        options |= _sasl(kafka)
    return options


def _sasl(kafka: KafkaSettings) -> dict[str, str | None]:
    password = kafka.sasl_password
    return {
        "sasl_mechanism": kafka.sasl_mechanism,
        "sasl_plain_username": kafka.sasl_username,
        "sasl_plain_password": password.get_secret_value() if password else None,
    }


def _ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_cafile)
        if kafka.ssl_certfile is not None:
            # Without a password function OpenSSL would ask for one on the terminal, for ever.
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile, password=lambda: "")
    except OSError as exc:  # ssl.SSLError is one: a file that is no certificate, or a wrong key
        raise SetupError(
            "the Kafka certificates cannot be used "
            f"({getattr(exc, 'reason', None) or exc.strerror or type(exc).__name__}): check that "
            "INGEST_KAFKA__SSL_CAFILE, __SSL_CERTFILE and __SSL_KEYFILE are PEM files that this "
            "user may read, and that the key, without a passphrase, belongs to the certificate"
        ) from exc
    return context
