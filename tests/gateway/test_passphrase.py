"""A private key that asks for a passphrase is refused with a sentence: nobody is asked at a terminal while events wait."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization as form

from mesh_gateway.delivery.http import HttpSettings, HttpSink
from mesh_gateway.gateway.addresses import CannotListen
from mesh_gateway.gateway.ingress import server_context
from mesh_gateway.topology.spec import TLSServerSpec


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Files of a certificate, and of its key behind a passphrase."""
    made = trustme.CA().issue_cert("gateway.test")
    certificate, key = tmp_path / "one.pem", tmp_path / "one.key"
    made.cert_chain_pems[0].write_to_path(certificate)
    plain = form.load_pem_private_key(made.private_key_pem.bytes(), None)
    key.write_bytes(
        plain.private_bytes(
            form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"passphrase")
        )
    )
    return certificate, key


def test_that_of_the_ingress(pair: tuple[Path, Path]):
    with pytest.raises(CannotListen, match="asks for a passphrase"):
        server_context(TLSServerSpec(*pair))


def test_that_of_a_destination(pair: tuple[Path, Path]):
    with pytest.raises(OSError, match="asks for a passphrase"):
        HttpSink(HttpSettings("https://subscriber.test/", client_certificate=pair))
