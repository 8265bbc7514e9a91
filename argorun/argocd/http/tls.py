"""TLS: which certificates to trust, and which one to present."""

from __future__ import annotations

import re
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
    loaded = "the system's certificates"
    try:
        if settings.insecure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif settings.ca or settings.ca_data:
            loaded = f"the CA {settings.ca or 'of the argocd CLI'}"
            context = ssl.create_default_context(
                cafile=str(settings.ca) if settings.ca else None, cadata=settings.ca_data
            )
        else:
            context = trusted()
        if settings.client_cert:
            loaded = f"the client certificate {settings.client_cert} with the key {settings.client_key}"
            # Without a password here, OpenSSL would prompt for one, and wait.
            context.load_cert_chain(str(settings.client_cert), str(settings.client_key), password="")
        elif settings.client_pem:
            loaded = "the client certificate of the argocd CLI"
            with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # 0600; ssl reads it from a file only
                file.write(settings.client_pem.encode())
                file.flush()
                context.load_cert_chain(file.name, password="")
    except (ssl.SSLError, OSError) as e:
        raise UsageError(
            f"{loaded} cannot be loaded: {readable(str(e))}",
            "give files in PEM form: -----BEGIN CERTIFICATE-----, and for a key without a password",
        ) from None
    return context


def readable(text: str) -> str:
    """OpenSSL's text without its own names: `[X509: NO_CERTIFICATE] no certificate (_ssl.c:4154)`."""
    return re.sub(r"^\[(SSL|X509|PEM)[^]]*\] (?=\w)|(?<=.) ?\(_ssl\.c:\d+\)$", "", text)


def trusted() -> ssl.SSLContext:
    """A context that verifies with the system's certificates; SSL_CERT_FILE and SSL_CERT_DIR count."""
    import truststore

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
