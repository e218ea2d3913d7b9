"""Values by reference."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
import trustme

from mesh_gateway.delivery.tls import client_context
from mesh_gateway.topology.spec import ClientCertificateSpec, HttpDestination, TLSServerSpec
from tests.topology.harness import BROKER, codes, endpoint, gateway, loaded, spec_of, transport, trigger

CANARY = "c4nary-token"
TO_CRM = trigger("subscriber: {ref: {kind: Endpoint, name: crm}}")


def crm(
    source: str, *more: str, environment: dict[str, str] | None = None, directory: Path = Path()
) -> HttpDestination:
    document = endpoint(f"url: 'https://crm/', auth: {{bearer: {{valueFrom: {source}}}}}")
    spec = spec_of(BROKER, TO_CRM, document, *more, environment=environment, directory=directory)
    destination = spec.triggers["default/billing"].destination
    assert isinstance(destination, HttpDestination)
    return destination


def bearer(destination: HttpDestination) -> str:
    assert destination.bearer is not None
    return destination.bearer.value


def test_a_secret_comes_from_the_environment():
    assert bearer(crm("{env: TOKEN}", environment={"TOKEN": CANARY})) == CANARY


@pytest.mark.parametrize("content", [CANARY, f"{CANARY}\n", f"{CANARY}\r\n"])
def test_a_secret_comes_from_a_file_beside_the_document_without_its_line_break(tmp_path: Path, content: str):
    (tmp_path / "token").write_bytes(content.encode())

    assert bearer(crm("{file: token}", directory=tmp_path)) == CANARY


@pytest.mark.parametrize(
    "data", [f"stringData: {{t: {CANARY}}}", f"data: {{t: {base64.b64encode(CANARY.encode()).decode()}}}"]
)
def test_a_secret_comes_from_a_secret_document(data: str):
    document = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: crm}}\n{data}"

    assert bearer(crm("{secretKeyRef: {name: crm, key: t}}", document)) == CANARY


def test_a_secret_document_in_another_namespace_is_reached_by_name():
    document = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: crm, namespace: vault}}\nstringData: {{t: {CANARY}}}"

    assert bearer(crm("{secretKeyRef: {name: crm, key: t, namespace: vault}}", document)) == CANARY


def test_a_secret_document_is_never_interpolated():
    document = "apiVersion: v1\nkind: Secret\nmetadata: {name: crm, annotations: {mesh-gateway.dev/interpolate: 'true'}}\nstringData: {t: 'pa$$word ${X}'}"

    assert bearer(crm("{secretKeyRef: {name: crm, key: t}}", document)) == "pa$$word ${X}"


def test_a_secret_shows_itself_nowhere():
    document = transport("kind: configured, options: {password: {valueFrom: {env: TOKEN}}}")
    found = loaded(
        gateway("admin: {token: {valueFrom: {env: TOKEN}}}"), document, BROKER, environment={"TOKEN": CANARY}
    )

    assert found.spec is not None
    assert CANARY not in f"{found!r} {found.spec!r} {found.spec}"
    assert found.spec.transports["main"].options["password"].get_secret_value() == CANARY


def test_a_secret_that_is_wrong_as_an_option_is_not_repeated_in_the_message():
    document = transport("kind: embedded, options: {retention: {valueFrom: {env: TOKEN}}}")

    found = loaded(document, environment={"TOKEN": CANARY})

    assert codes(found) == ["MG025"]
    assert CANARY not in str(found.faults[0])


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path: Path):
    (tmp_path / "large").write_bytes(b"x" * (2**20 + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, words in (("large", "more than"), ("binary", "not UTF-8")):
        found = loaded(
            endpoint(f"url: 'https://crm/', auth: {{bearer: {{valueFrom: {{file: {name}}}}}}}"),
            directory=tmp_path,
        )

        assert codes(found) == ["MG026"]
        assert words in found.faults[0].message


@pytest.mark.parametrize("text", ["Autoridad de Certificación", ""])
def test_text_that_holds_no_certificate_is_a_fault_in_any_language(text: str):
    found = loaded(BROKER, TO_CRM, endpoint(f"url: 'https://crm/', caCerts: {{inline: '{text}'}}"))

    assert codes(found) == ["MG026"]


def test_a_bundle_may_name_its_certificates_in_any_language(tmp_path: Path):
    authority = trustme.CA().cert_pem.bytes().decode()
    (tmp_path / "ca.pem").write_text(f"# AC Raíz\n{authority}\n# 政府\n{authority}", encoding="utf-8")

    spec = spec_of(
        BROKER, TO_CRM, endpoint("url: 'https://crm/', caCerts: {file: ca.pem}"), directory=tmp_path
    )

    destination = spec.triggers["default/billing"].destination
    assert isinstance(destination, HttpDestination)
    context = client_context(
        ca_certificates=destination.ca_certificates, client_certificate=None, insecure_skip_verify=False
    )
    assert context.cert_store_stats()["x509_ca"] == 1


def test_certificates_are_read_and_keys_are_seen_to_be_there(tmp_path: Path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name in ("one.pem", "one.key"):
        (tmp_path / name).write_text("…")
    pair = "{certificate: one.pem, key: one.key}"
    crm_document = endpoint(
        f"url: 'https://crm/', caCerts: {{file: ca.pem}}, auth: {{clientCertificate: {pair}}}"
    )

    spec = spec_of(BROKER, TO_CRM, crm_document, gateway(f"ingress: {{tls: {pair}}}"), directory=tmp_path)

    destination = spec.triggers["default/billing"].destination
    assert isinstance(destination, HttpDestination)
    assert destination.ca_certificates == authority.cert_pem.bytes().decode()
    files = tmp_path / "one.pem", tmp_path / "one.key"
    content = hashlib.sha256("……".encode()).hexdigest()
    assert destination.client_certificate == ClientCertificateSpec(*files, content)
    assert spec.ingress.tls == TLSServerSpec(*files, content=content)
