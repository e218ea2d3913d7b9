"""The gateways that may send here: each known by a credential that is nobody else's."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from mesh_gateway.topology import documents
from mesh_gateway.topology.faults import Path, Severity, meant
from mesh_gateway.topology.reach import is_loopback
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.secrets import References
from mesh_gateway.topology.spec import IngressSpec, PeerSpec

PATH: Path = ("spec", "peers")


class Ground(NamedTuple):
    """What the peers of a gateway are held against."""

    cluster: str
    ingress: IngressSpec
    brokers: Collection[str]
    partial: bool = False
    """There are more files than these, so a Broker that is not here may be there."""


def peer_specs(resource: Resource | None, references: References, ground: Ground) -> tuple[PeerSpec, ...]:
    """The peers of the Gateway document; everything that is wrong with one is noted."""
    found = resource.spec if resource is not None else None
    if resource is None or not isinstance(found, documents.Gateway):
        return ()
    said = resource.value["spec"]["peers"] if found.peers else []
    if len(said) != len(found.peers):
        return ()  # one was too wrong to be read, and the places of the others are not those in the document
    peers = tuple(_peer(peer, resource, (*PATH, i), references) for i, peer in enumerate(found.peers))
    _check_clusters(peers, resource, ground)
    _check_credentials(peers, resource, ground)
    _check_brokers(peers, resource, ground)
    return peers


def _peer(found: documents.Peer, resource: Resource, path: Path, references: References) -> PeerSpec:
    bearer = None
    if found.bearer is not None:
        where = (*path, "bearer", "valueFrom")
        bearer = references.secret(found.bearer.value_from, resource, where)
        if bearer is not None and not bearer.value.strip():
            resource.fault("MG026", where, "the token is empty")
            bearer = None
    return PeerSpec(
        found.cluster,
        bearer=bearer,
        san=found.client_certificate.san if found.client_certificate else None,
        brokers=tuple(found.brokers),
        types=tuple(found.types),
    )


def _check_clusters(peers: tuple[PeerSpec, ...], resource: Resource, ground: Ground) -> None:
    for i, peer in enumerate(peers):
        if peer.cluster == ground.cluster:
            message = (
                f"{peer.cluster!r} is this gateway's own name: its events would be taken for ones that were here already; "
                "give one of the two another spec.cluster"
            )
            resource.fault("MG048", (*PATH, i, "cluster"), message)


def _check_credentials(peers: tuple[PeerSpec, ...], resource: Resource, ground: Ground) -> None:
    """Each credential means one cluster, can be asked for, and is not shown to others."""
    for path, message in _shared(peers):
        resource.fault("MG043", (*PATH, *path), message)
    tls = ground.ingress.tls
    for i, peer in enumerate(peers):
        if peer.san is not None and (tls is None or not resource.says(CLIENT_AUTHORITIES)):
            message = (
                "nobody is asked for a certificate: set spec.ingress.tls.clientCaCerts to the authority that signs "
                "this one, or give the peer a bearer"
            )
            resource.fault("MG044", (*PATH, i, "clientCertificate"), message, key=True)
        if peer.bearer is not None and _in_the_clear(ground.ingress):
            message = (
                f"the ingress listens on {ground.ingress.host} without TLS, so the token of {peer.cluster} travels in the "
                "clear: set spec.ingress.tls, or spec.ingress.url to the https address of what stands in front"
            )
            resource.fault("MG045", (*PATH, i, "bearer"), message, key=True)


CLIENT_AUTHORITIES: Path = ("spec", "ingress", "tls", "clientCaCerts")


def _in_the_clear(ingress: IngressSpec) -> bool:
    behind_tls = ingress.url is not None and ingress.url.lower().startswith("https:")
    return ingress.tls is None and not behind_tls and not is_loopback(ingress.host)


def _shared(peers: tuple[PeerSpec, ...]) -> Iterator[tuple[Path, str]]:
    """What a peer has in common with one before it, where it must have something of its own."""
    seen: dict[tuple[str, object], int] = {}
    for i, peer in enumerate(peers):
        own: list[tuple[Path, str, object]] = [(("cluster",), "name", peer.cluster)]
        if peer.bearer is not None:
            own.append((("bearer",), "token", peer.bearer))
        if peer.san is not None:
            own.append((("clientCertificate", "san"), "certificate name", peer.san.lower()))
        for path, what, value in own:
            first = seen.setdefault((what, value), i)
            if first != i:
                yield (
                    (i, *path),
                    (
                        f"peers[{first}] ({peers[first].cluster}) has this {what} already; each peer has its own"
                    ),
                )


def _check_brokers(peers: tuple[PeerSpec, ...], resource: Resource, ground: Ground) -> None:
    severity: Severity | None = "warning" if ground.partial else None
    for i, peer in enumerate(peers):
        for j, key in enumerate(peer.brokers):
            if key not in ground.brokers:
                there = ", ".join(sorted(ground.brokers)[:10])
                hint = meant(key, ground.brokers) or (f"; there are: {there}" if there else "")
                message = f"there is no Broker {key} in the files{hint}"
                resource.fault("MG021", (*PATH, i, "brokers", j), message, severity=severity)
