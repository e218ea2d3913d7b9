"""The Gateway document as listeners, limits and directories; and who may reach a listener."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

from mesh_gateway.topology import documents
from mesh_gateway.topology.destinations import HTTP, Unresolvable, split
from mesh_gateway.topology.faults import Path
from mesh_gateway.topology.reach import is_loopback
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.secrets import References
from mesh_gateway.topology.spec import AdminSpec, GatewaySpec, IngressSpec, TLSServerSpec
from mesh_gateway.topology.values import listen_address

__all__ = ["gateway_spec", "is_loopback", "listen_address"]


def gateway_spec(resource: Resource | None, found: documents.Gateway, references: References) -> GatewaySpec:
    """Everything but what has documents of its own, and peers. Without a document (`resource` None), the defaults."""
    if resource is None:
        return GatewaySpec()
    ingress = _ingress(resource, found.ingress, references)
    admin = _admin(resource, found.admin, references)
    if (ingress.host, ingress.port) == (admin.host, admin.port) and admin.port:
        listen: Path = ("spec", "admin", "listen")
        resource.fault(
            "MG052", listen, f"the ingress listens on {admin.host}:{admin.port} already; take another port"
        )
    return GatewaySpec(
        name=resource.name,
        cluster=found.cluster,
        ingress=ingress,
        admin=admin,
        state_directory=FilePath(found.state.directory or "state"),
        drain_timeout=found.drain_timeout,
        max_hops=found.max_hops,
    )


def _ingress(resource: Resource, found: documents.Ingress, references: References) -> IngressSpec:
    path: Path = ("spec", "ingress")
    given: dict[str, Any] = {
        name: value
        for name in documents.Ingress.model_fields
        if name not in ("listen", "tls", "url") and (value := getattr(found, name)) is not None
    }
    if found.listen is not None:
        given["host"], given["port"] = found.listen
    if found.tls is not None:
        certificate, key, content = references.key_pair(found.tls, resource, (*path, "tls"))
        authorities = None
        if found.tls.client_ca_certs is not None:
            where = (*path, "tls", "clientCaCerts")
            authorities = references.certificates(found.tls.client_ca_certs, resource, where)
        given["tls"] = TLSServerSpec(certificate, key, authorities, content)
    if found.url is not None:
        given["url"] = _base_url(found.url, resource, (*path, "url"))
    return IngressSpec(**given)


def _base_url(url: str, resource: Resource, path: Path) -> str:
    """A URL below which the brokers lie, without a slash at its end."""
    try:
        parts = split(url, (), HTTP)
        if parts.query or parts.fragment:
            raise Unresolvable("MG027", "a base URL has neither ? nor #: paths of Brokers are put behind it")
    except Unresolvable as error:
        resource.fault(error.code, path, str(error))
    return url.rstrip("/")


def _admin(resource: Resource, found: documents.Admin, references: References) -> AdminSpec:
    host, port = found.listen or (AdminSpec().host, AdminSpec().port)
    token = None
    if found.token is not None:
        token = references.secret(found.token.value_from, resource, ("spec", "admin", "token", "valueFrom"))
    elif not resource.says(("spec", "admin", "token")) and not is_loopback(host):
        message = f"{host} can be reached by others: set spec.admin.token, or listen on 127.0.0.1"
        resource.fault("MG050", ("spec", "admin", "listen"), message)
    return AdminSpec(host, port, token)
