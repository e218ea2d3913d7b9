"""How aiokafka is told to connect, and how a cluster that cannot be reached says why."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from aiokafka import errors
from aiokafka.conn import create_conn

from mesh_gateway.errors import ConnectionLost, NotPermitted, TransportError
from mesh_gateway.transport.passphrase import no_passphrase
from mesh_gateway_kafka import consumer, faults, knative, metadata
from mesh_gateway_kafka.options import KafkaOptions, Mechanism

REACH_SECONDS = 4.5
"""For the first answer of any broker; the contract gives `open` about five seconds."""

REQUEST_MS = 10_000
"""For one request. Longer than the longest that a broker makes us wait on purpose (a join of a group has a time of
its own), shorter than aiokafka's 40 s, in which a producer would have given up long since."""

RETRY_MS = 100
"""Before a request that has failed is made again."""

metadata.only_ask()
consumer.replace()

PROTOCOLS = ("PLAINTEXT", "SASL_PLAINTEXT", "SSL", "SASL_SSL")


@dataclass(frozen=True)
class Connection:
    """Where a cluster is and how to speak to it; shows no secret."""

    servers: tuple[str, ...]
    client_id: str
    protocol: str
    mechanism: str = "PLAIN"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    context: ssl.SSLContext | None = field(default=None, repr=False, compare=False)

    @property
    def settings(self) -> dict[str, Any]:
        """What every client of aiokafka takes; nothing is left to its defaults that matters."""
        return {
            "bootstrap_servers": list(self.servers),
            "client_id": self.client_id,
            "request_timeout_ms": REQUEST_MS,
            # Partitions that were added, and leaders that moved while nothing was sent, are known after this.
            "metadata_max_age_ms": 30_000,
            "retry_backoff_ms": RETRY_MS,
            "security_protocol": self.protocol,
            "ssl_context": self.context,
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
        }

    async def reach(self) -> str:
        """The first broker that answers and lets us in. Raises `NotPermitted` or `ConnectionLost` saying why not.

        aiokafka itself only logs why it could not connect.
        """
        found: list[TransportError] = []
        try:
            async with asyncio.timeout(REACH_SECONDS):
                for server in self.servers:
                    try:
                        await self._greet(server)
                    except (OSError, errors.KafkaError) as error:
                        found.append(_why(server, error))
                    else:
                        return server
        except TimeoutError:
            found.append(ConnectionLost(f"{server} does not answer within {REACH_SECONDS:g} s"))
        for refusal in found:
            if isinstance(refusal, NotPermitted):
                raise refusal
        raise ConnectionLost("cannot reach Kafka: " + "; ".join(map(str, found)))

    async def _greet(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        if not host or not port.isdecimal():
            raise OSError("is no host:port")
        connection = await create_conn(
            host.strip("[]"),
            int(port),
            client_id=self.client_id,
            request_timeout_ms=REQUEST_MS,
            ssl_context=self.context,
            security_protocol=self.protocol,
            sasl_mechanism=self.mechanism,
            sasl_plain_username=self.username,
            sasl_plain_password=self.password,
        )
        connection.close()


def _why(server: str, error: Exception) -> TransportError:
    if isinstance(error, faults.REFUSED):
        return NotPermitted(f"Kafka at {server} refused our credentials: {error}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return NotPermitted(f"{server} showed a certificate that is not trusted: {error.verify_message}")
    if isinstance(error, OSError):
        return ConnectionLost(f"{server}: {error.strerror or error}")
    return ConnectionLost(f"{server}: {type(error).__name__}: {error}")


def connection(options: KafkaOptions, servers: tuple[str, ...]) -> Connection:
    """The connection that the options describe. Raises `NotPermitted` for a certificate that cannot be used."""
    tls, sasl = options.tls, options.sasl
    context = None
    if tls is not None:
        try:
            context = ssl.create_default_context(cafile=tls.ca_file)
            if tls.certificate_file is not None:
                context.load_cert_chain(tls.certificate_file, tls.key_file, no_passphrase)
        except OSError as error:  # ssl.SSLError is one
            raise NotPermitted(f"TLS of Kafka cannot be set up: {error.strerror or error}") from error
    return Connection(
        servers=servers,
        client_id=options.client_id,
        protocol=("SASL_" if sasl else "") + ("PLAINTEXT" if tls is None else "SSL"),
        mechanism=sasl.mechanism if sasl else "PLAIN",
        username=sasl.username if sasl else None,
        password=sasl.password.get_secret_value() if sasl else None,
        context=context,
    )


def connection_of_secret(client_id: str, servers: tuple[str, ...], secret: Mapping[str, str]) -> Connection:
    """The connection that a Secret of Knative's Kafka Broker describes (its keys: `protocol`, `sasl.mechanism`, `user`,
    `password`, `ca.crt`, `user.crt`, `user.key`). Raises `NotPermitted` naming the key that is absent or wrong.
    """
    protocol = _one_of(PROTOCOLS, secret, "protocol")
    if not protocol.startswith("SASL_"):
        return Connection(servers, client_id, protocol, context=_context(protocol, secret))
    return Connection(
        servers,
        client_id,
        protocol,
        mechanism=_one_of(get_args(Mechanism), secret, "sasl.mechanism"),
        username=_required(secret, "user"),
        password=_required(secret, "password"),
        context=_context(protocol, secret),
    )


def _required(secret: Mapping[str, str], key: str) -> str:
    found = secret.get(key, "").strip()
    if not found:
        raise NotPermitted(f"the Secret that {knative.SECRET} names has no {key}")
    return found


def _one_of(words: tuple[str, ...], secret: Mapping[str, str], key: str) -> str:
    found = _required(secret, key)
    if found not in words:
        raise NotPermitted(
            f"the Secret that {knative.SECRET} names: {key} must be one of {', '.join(words)}, not {found!r}"
        )
    return found


def _context(protocol: str, secret: Mapping[str, str]) -> ssl.SSLContext | None:
    if not protocol.endswith("SSL"):
        return None
    try:
        # What is not ASCII stands between certificates, as their names, and `ssl` takes none of it.
        authorities = secret.get("ca.crt", "").encode("ascii", "replace").decode()
        context = ssl.create_default_context(cadata=authorities or None)
        if "user.crt" in secret:
            _present(context, secret["user.crt"], _required(secret, "user.key"))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise NotPermitted(f"TLS of Kafka cannot be set up by the Secret's certificates: {error}") from error
    return context


def _present(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Let the context show this certificate; OpenSSL takes it from a file only, which is gone again at once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "client.pem"
        path.touch(0o600)
        path.write_text(f"{certificate}\n{key}\n")
        context.load_cert_chain(path, password=no_passphrase)
