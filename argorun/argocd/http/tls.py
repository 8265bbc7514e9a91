"""TLS: which certificates to trust, and which one to present."""

from __future__ import annotations

import ssl
import tempfile
from typing import Any, Protocol

from argorun.errors import UsageError


class Certificates(Protocol):
    """The certificates to verify a server by, and the one to show it."""

    @property
    def url(self) -> str: ...
    @property
    def ca(self) -> Any: ...
    @property
    def ca_data(self) -> str | None: ...
    @property
    def insecure(self) -> bool: ...
    @property
    def client_cert(self) -> Any: ...
    @property
    def client_key(self) -> Any: ...
    @property
    def client_pem(self) -> str | None: ...


def tls(settings: Certificates) -> ssl.SSLContext:
    """A context that verifies with the given CA, else with the system's, and with `insecure` not at all.

    Raises UsageError if a certificate cannot be loaded.
    """
    try:
        if settings.insecure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif settings.ca or settings.ca_data:
            context = ssl.create_default_context(
                cafile=str(settings.ca) if settings.ca else None, cadata=settings.ca_data
            )
        else:
            context = trusted()
        if settings.client_cert:
            # Without a password here, OpenSSL would prompt for one, and wait.
            context.load_cert_chain(str(settings.client_cert), str(settings.client_key), password="")
        elif settings.client_pem:
            with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # 0600; ssl reads it from a file only
                file.write(settings.client_pem.encode())
                file.flush()
                context.load_cert_chain(file.name, password="")
    except (ssl.SSLError, OSError) as e:
        raise UsageError(f"the certificates for {settings.url} cannot be loaded: {e}") from None
    return context


def trusted() -> ssl.SSLContext:
    """A context that verifies with the system's certificates; SSL_CERT_FILE and SSL_CERT_DIR count."""
    import truststore

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
