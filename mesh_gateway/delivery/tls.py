"""TLS towards one destination: its own authorities and its own certificate, verified unless told otherwise."""

from __future__ import annotations

import ssl
from pathlib import Path

from mesh_gateway.transport.passphrase import no_passphrase


def client_context(
    *,
    ca_certificates: str | None,
    client_certificate: tuple[Path, Path] | None,
    insecure_skip_verify: bool,
) -> ssl.SSLContext:
    """A context for one destination. Raises `OSError` (of which `ssl.SSLError` is one) for unusable files."""
    context = ssl.create_default_context(cadata=ca_certificates)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if client_certificate is not None:
        certificate, key = client_certificate
        context.load_cert_chain(certificate, key, no_passphrase)
    if insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
