"""`receive`: a subscriber in the hand."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import dataclass
from typing import Any

import click

from mesh_gateway.cli import events, options
from mesh_gateway.cli.exits import BadConfiguration
from mesh_gateway.cli.http import reason
from mesh_gateway.cli.output import clean, document, notice
from mesh_gateway.errors import EventError
from mesh_gateway.event import Event

EXAMPLES = """\b
Examples:
  mesh-gateway receive --port 9090
  mesh-gateway receive --fail 503x3        # fails three times, then takes them
  mesh-gateway receive --fail 422          # refuses everything: see the dead letters
"""


@dataclass(frozen=True, slots=True)
class Failing:
    """The status to fail with, and how often; None = always."""

    status: int
    times: int | None


def failing(ctx: click.Context, param: click.Parameter, value: str | None) -> Failing | None:
    """Callback: `503` or `503x3`."""
    if value is None:
        return None
    match = re.fullmatch(r"([3-5]\d\d)(?:x([1-9]\d{0,8}))?", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is not a status such as 503, or 503x3", ctx, param)
    return Failing(int(match[1]), int(match[2]) if match[2] else None)


@click.command("receive", epilog=EXAMPLES)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=9090, show_default=True, help="0 = any free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--fail", callback=failing, metavar="STATUS[xN]", help="Answer the first N (or all) with STATUS."
)
@click.option(
    "--delay", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="Wait before answering."
)
@click.option("--reply", metavar="FILE",
              help="Answer with the event in this JSON file; without an id each reply gets its own.")  # fmt: skip
@click.option("--count", type=click.IntRange(min=1), help="Stop after taking so many events.")
@options.output("text", "json", "jsonl")
def command(
    port: int, host: str, fail: Failing | None, delay: float, reply: str | None, count: int | None, form: str
) -> None:
    """Be a subscriber that prints events, and fails on demand.

    Events that it takes go to standard output, everything else to standard error. Stop it with
    Ctrl-C. The path of the URL does not matter.
    """
    if reply is not None:
        events.read(reply, "--reply")
    subscriber = Subscriber(fail, delay, reply, count, form)
    door = listen(host, port)
    try:
        serve(subscriber, door)
    except KeyboardInterrupt:
        notice(f"stopped after {subscriber.taken} event(s)")


class Subscriber:
    """The answers, one request at a time or many; an ASGI application."""

    def __init__(
        self, fail: Failing | None, delay: float, reply: str | None, count: int | None, form: str
    ) -> None:
        self.taken = 0
        self.stop = asyncio.Event()
        self._fail = fail
        self._failed = 0
        self._delay = delay
        self._reply = reply
        self._count = count
        self._form = form

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One HTTP request (ASGI)."""
        if scope["type"] != "http":
            return
        if scope["method"] != "POST":
            await answer(send, 405, headers=[(b"allow", b"POST")])
            return
        try:
            received = await self._read(scope, receive)
        except EventError as error:
            notice(f"{error.status} not a CloudEvent: {clean(error)}")
            await answer(send, error.status, str(error).encode(), [(b"content-type", b"text/plain")])
            return
        if self._delay:
            await asyncio.sleep(self._delay)
        if self._fail is not None and (self._fail.times is None or self._failed < self._fail.times):
            self._failed += 1
            await self._refuse(received, send, self._fail)
        else:
            await self._take(received, send)

    async def _read(self, scope: Any, receive: Any) -> list[Event]:
        """The events of the request. Raises `EventError`."""
        from mesh_gateway.errors import EventTooLarge
        from mesh_gateway.wire import http

        limits = http.Limits()
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > limits.max_batch_bytes:
                raise EventTooLarge(f"the body has more than {limits.max_batch_bytes} bytes")
        return http.decode(scope["headers"], bytes(body), limits)

    async def _refuse(self, received: list[Event], send: Any, fail: Failing) -> None:
        of = "" if fail.times is None else f" ({self._failed} of {fail.times})"
        for event in received:
            notice(f"answered {fail.status}{of}: {clean(event.type)} id={clean(event.id)}")
        await answer(send, fail.status)

    async def _take(self, received: list[Event], send: Any) -> None:
        for event in received:
            show(event, self._form)
        self.taken += len(received)
        if self._reply is None:
            await answer(send, 202)
        else:
            from mesh_gateway.wire import json

            body = json.encode(events.read(self._reply, "--reply"))
            await answer(send, 200, body, [(b"content-type", b"application/cloudevents+json")])
        if self._count is not None and self.taken >= self._count:
            self.stop.set()


async def answer(
    send: Any, status: int, body: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """One whole ASGI response."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})


def show(event: Event, form: str) -> None:
    """Print one event that was taken."""
    if form == "text":
        from mesh_gateway.gateway.display import render

        click.echo(render(event), nl=False)
    else:
        from mesh_gateway.wire import json

        document(json.as_document(event), form)


def listen(host: str, port: int) -> socket.socket:
    """The listening socket. Raises `BadConfiguration` when the address cannot be had."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, UnicodeError) as error:
        raise BadConfiguration(
            f"cannot listen on {host}:{port}: {reason(error)}; choose another with --host and --port"
        ) from error


def serve(subscriber: Subscriber, door: socket.socket) -> None:
    """Answer until `--count` is reached. Raises `KeyboardInterrupt` on Ctrl-C."""
    import uvicorn

    config = uvicorn.Config(
        subscriber, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False,
        timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = uvicorn.Server(config)
    host, port = door.getsockname()[:2]
    notice(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")

    async def until_enough() -> None:
        await subscriber.stop.wait()
        server.should_exit = True

    async def both() -> None:
        async with asyncio.TaskGroup() as tasks:
            enough = tasks.create_task(until_enough())
            await server.serve(sockets=[door])
            enough.cancel()

    asyncio.run(both())
