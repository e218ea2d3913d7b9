"""A client of a running gateway's admin API: blocking, one connection a call, standard library only."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import click

from mesh_gateway.cli.exits import CheckFailed, NotPossible, Unreachable
from mesh_gateway.cli.http import Address, address, connection, reaching

TIMEOUT = 10.0
"""Seconds for one answer: listing dead letters on a slow transport takes a few."""

ANSWER_LIMIT = 64 * 2**20
"""Bytes of an answer that are read: a full page of dead letters has far less."""


class AdminClient:
    """The admin API at one URL.

    Every call raises `Unreachable` (69) when nobody answers as a gateway does, and `CheckFailed` (1)
    with the gateway's own words when it refuses; `NotPossible`, one of them, when a transport cannot do it.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: float = TIMEOUT) -> None:
        self._address = address(url, "--admin")
        if token is not None and not (token.isascii() and token.isprintable()):
            raise click.BadParameter("a token holds only printable ASCII", param_hint="--token")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._timeout = timeout

    @property
    def url(self) -> str:
        return self._address.url

    def get(self, *path: str, **query: str | int | None) -> Any:
        """The JSON at `/api/v1/PATH`; a query that is None is left out."""
        return self._json("GET", target(self._address, path, query))

    def post(self, *path: str, body: dict[str, Any]) -> Any:
        """POST JSON to `/api/v1/PATH`, and its JSON answer."""
        return self._json("POST", target(self._address, path, {}), json.dumps(body).encode())

    def probe(self, path: str) -> tuple[int, str]:
        """Status and text of a health path such as `/readyz`; any status is an answer."""
        with reaching(self._address, "--admin"), closing(connection(self._address, self._timeout)) as wire:
            wire.request("GET", self._address.path + path, headers=self._headers)
            answer = wire.getresponse()
            return answer.status, answer.read(ANSWER_LIMIT).decode("utf-8", "replace").strip()

    @contextmanager
    def follow(self, *path: str, until: float, **query: str) -> Iterator[Iterator[dict[str, Any]]]:
        """The JSON lines of a stream, as they come; ends at the `time.monotonic()` moment `until`.

        When the context is entered the gateway has answered and the first line can be read.
        """
        with closing(connection(self._address, self._timeout)) as wire:
            with reaching(self._address, "--admin"):
                wire.connect()
                door = wire.sock
                wire.request("GET", target(self._address, path, query), headers=self._headers)
                answer = wire.getresponse()
            if answer.status >= 300:
                raise self._refusal(answer.status, _body(answer, self._address))
            with answer:
                yield self._lines(answer, door, until)

    def _lines(self, answer: http.client.HTTPResponse, door: Any, until: float) -> Iterator[dict[str, Any]]:
        while (left := until - time.monotonic()) > 0:
            door.settimeout(left)
            try:
                with reaching(self._address, "--admin"):
                    line = answer.readline()
            except Unreachable as error:
                if isinstance(error.__cause__, TimeoutError):
                    return
                raise
            if not line:
                return
            yield self._parse(line)

    def _json(self, method: str, path: str, body: bytes | None = None) -> Any:
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        with reaching(self._address, "--admin"), closing(connection(self._address, self._timeout)) as wire:
            wire.request(method, path, body, headers)
            answer = wire.getresponse()
            text = _body(answer, self._address)
        if answer.status >= 300:
            raise self._refusal(answer.status, text)
        return self._parse(text)

    def _parse(self, text: bytes) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            raise self._not_a_gateway() from None

    def _refusal(self, status: int, text: bytes) -> click.ClickException:
        detail = problem_detail(text)
        # 405: the ingress of a gateway, which takes nothing but POST.
        if detail is None or status == 405:
            return self._not_a_gateway(f" (HTTP {status})")
        refusal = NotPossible if status == 501 else CheckFailed
        return refusal(f"{detail} (HTTP {status})")

    def _not_a_gateway(self, more: str = "") -> Unreachable:
        return Unreachable(
            f"what answers at {self.url} is not the admin API of a gateway{more}; "
            "--admin takes the admin URL, not the one events are sent to"
        )


def target(to: Address, path: tuple[str, ...], query: dict[str, Any]) -> str:
    """The request target of an API path; each part is one segment."""
    segments = "/".join(quote(part, safe="") for part in path)
    given = {name: value for name, value in query.items() if value is not None}
    return f"{to.path}/api/v1/{segments}" + (f"?{urlencode(given)}" if given else "")


def problem_detail(text: bytes) -> str | None:
    """The sentence in an `application/problem+json` body, None if it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    detail = found.get("detail") if isinstance(found, dict) else None
    return detail if isinstance(detail, str) else None


def _body(answer: http.client.HTTPResponse, to: Address) -> bytes:
    text = answer.read(ANSWER_LIMIT + 1)
    if len(text) > ANSWER_LIMIT:
        raise Unreachable(f"{to.url} answers with more than {ANSWER_LIMIT} bytes")
    return text
