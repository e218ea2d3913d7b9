"""What goes on beside a transport: an operator at the management API, other clients, and waiting for the server."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from mesh_gateway.transport.contract import Delivery, Subscription

SERVICES = Path(__file__).parents[3] / "scripts" / "services"

PATIENCE = 20
"""Seconds after which what should happen is called missing."""

POLL_SECONDS = 0.05
"""Between two looks at what the server tells nobody about."""


class Operator:
    """What an operator does over the management API, in a virtual host that nobody else uses."""

    def __init__(self, api: str, amqp: str, vhost: str) -> None:
        parts = urlsplit(amqp)
        self._api = api
        self._login = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
        self.vhost = vhost
        self.url = amqp.rstrip("/") + "/" + vhost

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """What the API answers; `path` behind `/api/`."""
        return await asyncio.to_thread(self._ask, method, path, body)

    def _ask(self, method: str, path: str, body: object) -> Any:
        request = urllib.request.Request(
            f"{self._api}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json", "authorization": f"Basic {self._login}"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read() or b"null")

    async def put(self, exchange: str, body: bytes, **properties: Any) -> None:
        """Publish as somebody else. Fails unless a queue took it."""
        message = {
            "properties": properties,
            "routing_key": "",
            "payload": base64.b64encode(body).decode(),
            "payload_encoding": "base64",
        }
        answer = await self.ask("POST", f"exchanges/{self.vhost}/{exchange}/publish", message)
        assert answer == {"routed": True}

    async def peek(self, queue: str, count: int) -> list[dict[str, Any]]:
        """The first messages of a queue, which go back to their places."""
        wanted = {"count": count, "ackmode": "ack_requeue_true", "encoding": "base64"}
        found: list[dict[str, Any]] = await self.ask("POST", f"queues/{self.vhost}/{queue}/get", wanted)
        return found

    async def queue(self, name: str) -> Any:
        return await self.ask("GET", f"queues/{self.vhost}/{name}")

    async def queues(self, prefix: str) -> list[str]:
        """The names of the queues that begin so."""
        found = await self.ask(
            "GET", f"queues/{self.vhost}?name=^{prefix}&use_regex=true&page=1&page_size=500"
        )
        return [one["name"] for one in found["items"]]

    async def delete_queue(self, name: str) -> None:
        await self.ask("DELETE", f"queues/{self.vhost}/{name}")

    async def delete_exchange(self, name: str) -> None:
        await self.ask("DELETE", f"exchanges/{self.vhost}/{name}")

    async def connections(self) -> dict[str, str]:
        """Our newest connections (the API goes on showing closed ones for a while): what they are for, by the name that
        they gave themselves (`publish`, `ask`, `consume QUEUE`) -> the server's name of them.
        """
        found = await self.ask("GET", f"vhosts/{self.vhost}/connections")
        told = [given for given in found if "client_properties" in given]
        return {
            given["client_properties"]["connection_name"].split(maxsplit=2)[-1]: given["name"]
            for given in sorted(told, key=lambda given: int(given["connected_at"]))
        }

    async def close_connection(self, which: str) -> None:
        """Close the one that calls itself so, as soon as the API knows of it."""
        await until(lambda: self._knows(which))
        await self.ask("DELETE", f"connections/{quote((await self.connections())[which])}")

    async def _knows(self, which: str) -> bool:
        return which in await self.connections()

    async def alarm(self, source: str, *, on: bool) -> None:
        """Tell the connections of this virtual host, and no others, of an alarm, as the server's alarms do."""
        await rabbitmqctl(
            "eval",
            f"[P ! {{conserve_resources, {source}, {str(on).lower()}}} || [{{pid, P}}, {{vhost, V}}] <- "
            f'rabbit_networking:connection_info_all([pid, vhost]), V =:= <<"{self.vhost}">>].',
        )


async def rabbitmqctl(*words: str) -> None:
    command = (sys.executable, str(SERVICES), "rabbitmqctl", "rabbitmq", *words)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    said = b"".join(await process.communicate())
    assert process.returncode == 0, said.decode()


async def until(fact: Callable[[], Awaitable[bool]]) -> None:
    """Returns once it is true; fails when it does not become so."""
    async with asyncio.timeout(PATIENCE):
        while not await fact():
            await asyncio.sleep(POLL_SECONDS)


async def receive(subscription: Subscription, count: int) -> list[Delivery]:
    """So many events, however many receives it takes."""
    found: list[Delivery] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += await subscription.receive(count - len(found))
    return found


async def raised_by(subscription: Subscription, seen: Sequence[Delivery] = ()) -> Exception:
    """What ends receiving. Fails when an event comes that is not among those `seen`."""
    known = {delivery.event.id for delivery in seen}
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                found = await subscription.receive(100)
            except Exception as error:
                return error
            assert {delivery.event.id for delivery in found} <= known
