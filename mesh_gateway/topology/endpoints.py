"""Endpoint documents as addresses with their TLS and credentials."""

from __future__ import annotations

from mesh_gateway.topology import documents
from mesh_gateway.topology.destinations import Addresses, Unresolvable
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.secrets import References
from mesh_gateway.topology.spec import ClientCertificateSpec, HttpDestination


def endpoint(resource: Resource, addresses: Addresses, references: References) -> HttpDestination | None:
    """The Endpoint's address; None after noting what is wrong with it."""
    found = resource.spec
    if not isinstance(found, documents.Endpoint):
        return None
    usable = True
    try:
        addresses.check(found.url, "url")
    except Unresolvable as error:
        resource.fault(error.code, ("spec", *error.path), str(error))
        usable = False
    if found.insecure_skip_verify:
        resource.fault(
            "MG053", ("spec", "insecureSkipVerify"), "anybody on the way can pose as this endpoint", key=True
        )
    bearer = certificate = authorities = None
    if found.auth.bearer is not None:
        path = ("spec", "auth", "bearer", "valueFrom")
        bearer = references.secret(found.auth.bearer.value_from, resource, path)
    if found.auth.client_certificate is not None:
        files = references.key_pair(
            found.auth.client_certificate, resource, ("spec", "auth", "clientCertificate")
        )
        certificate = ClientCertificateSpec(*files)
    if found.ca_certs is not None:
        authorities = references.certificates(found.ca_certs, resource, ("spec", "caCerts"))
    if not usable:
        return None
    return HttpDestination(
        found.url,
        ca_certificates=authorities,
        client_certificate=certificate,
        bearer=bearer,
        insecure_skip_verify=found.insecure_skip_verify,
        replies=found.replies,
        headers=tuple(found.headers.items()),
    )
