"""One HTTP connection to where the user pointed, from a URL to a clear error."""

from __future__ import annotations

import http.client
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import click

from mesh_gateway.cli.exits import Unreachable


@dataclass(frozen=True, slots=True)
class Address:
    """Where an http(s) URL points."""

    url: str
    secure: bool
    host: str
    port: int
    path: str
    """Without a trailing slash; with the query, if there is one."""


def address(url: str, option: str) -> Address:
    """Take a URL apart. Raises a usage error that names `option`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise click.BadParameter("is not a URL such as http://127.0.0.1:8081", param_hint=option) from error
    if "@" in parts.netloc:
        raise click.BadParameter(
            "a URL carries no credentials: messages and the list of processes show it", param_hint=option
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.BadParameter(f"{url!r} is not a URL such as http://127.0.0.1:8081", param_hint=option)
    if not (parts.netloc + parts.path + parts.query).isascii() or not url.isprintable() or " " in url:
        raise click.BadParameter(f"{url!r} holds characters that no URL may hold", param_hint=option)
    secure = parts.scheme == "https"
    path = parts.path.rstrip("/") + (f"?{parts.query}" if parts.query else "")
    return Address(url, secure, parts.hostname, port or (443 if secure else 80), path)


def connection(to: Address, timeout: float) -> http.client.HTTPConnection:
    """A connection that is opened by its first request; no proxies from the environment."""
    if to.secure:
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(to.host, to.port, timeout=timeout, context=context)
    return http.client.HTTPConnection(to.host, to.port, timeout=timeout)


@contextmanager
def reaching(to: Address, option: str) -> Iterator[None]:
    """Turn every way of not reaching it into `Unreachable`, with the way out."""
    try:
        yield
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise Unreachable(
            f"cannot reach {to.url}: {reason(error)}; is the gateway running there? ({option} URL)"
        ) from error


def reason(error: Exception) -> str:
    """What went wrong, in words rather than class names."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, http.client.HTTPException):
        return "what answers there does not speak HTTP"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return str(error).lower()
