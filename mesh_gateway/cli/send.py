"""`send`: a producer in the hand."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

import click

from mesh_gateway.cli import events, options
from mesh_gateway.cli.admin import AdminClient, problem_detail
from mesh_gateway.cli.exits import Exit
from mesh_gateway.cli.fate import Fate
from mesh_gateway.cli.http import Address, address, connection, reaching
from mesh_gateway.cli.output import clean, document, notice
from mesh_gateway.event import Event

DEFAULT_TO = "http://127.0.0.1:8080/default/default"

POST_TIMEOUT = 15.0
"""Seconds for the broker's answer: three times the default `publishTimeout` of a gateway."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What every event of one `send` has in common."""

    attributes: dict[str, str | None]
    data: bytes | None

    def event(self) -> Event:
        return events.build(self.attributes, self.data)


@dataclass(slots=True)
class Sent:
    """One event, the broker's answer and, when it was followed, its fate."""

    event: Event
    status: int = 0
    detail: str | None = None
    fate: Fate | None = field(default=None)

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def good(self) -> bool:
        return self.accepted and (self.fate is None or self.fate.good)

    def sentence(self, namespace: str) -> str:
        parts = [f"{self.status} id={clean(self.event.id)}"]
        if self.detail:
            parts.append(clean(self.detail))
        if self.accepted and self.fate is not None:
            parts.append(self.fate.sentence(namespace))
        return " · ".join(parts)

    def document(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "status": self.status, "id": self.event.id, "source": self.event.source,
            "type": self.event.type, "detail": self.detail,
        }  # fmt: skip
        return told if self.fate is None else {**told, **self.fate.document()}


EXAMPLES = """\b
Examples:
  mesh-gateway send --type hello --field name=Ada --wait
  mesh-gateway send --type order.created --data @order.json --to http://127.0.0.1:8080/shop/orders
"""


@click.command("send", epilog=EXAMPLES)
@click.option("--type", "type_", required=True, help="What happened, such as order.created.")
@click.option("--source", default=events.SOURCE, show_default=True, help="Who says so; a URI-reference.")
@click.option("--subject", help="What it happened to.")
@click.option("--id", "id_", help="Default: a random UUID for each event.")
@click.option("--field", "fields", multiple=True, metavar="A.B=VALUE",
              help="A member of the data, which becomes a JSON object; may be repeated.")  # fmt: skip
@click.option(
    "--data", metavar="TEXT|@FILE|-", help="The data: as given, from a file, or from standard input."
)
@click.option("--content-type", help="Default: application/json where the data is JSON, else text or bytes.")
@click.option("-a", "--attribute", "pairs", multiple=True, metavar="NAME=VALUE",
              help="Another attribute, such as an extension; may be repeated.")  # fmt: skip
@click.option(
    "--to", default=DEFAULT_TO, show_default=True, metavar="URL", help="The broker, /NAMESPACE/NAME."
)
@click.option("--count", type=click.IntRange(min=1), default=1, help="How many such events.")
@click.option("--mode", type=click.Choice(["binary", "structured"]), default="binary", show_default=True,
              help="Attributes as headers, or everything in one JSON object.")  # fmt: skip
@click.option("--wait", is_flag=True, help="Follow each event until its last delivery has ended.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True,
              metavar="SECONDS", help="How long --wait waits for one event.")  # fmt: skip
@options.admin
@options.data_output()
def command(
    type_: str, source: str, subject: str | None, id_: str | None, fields: tuple[str, ...], data: str | None,
    content_type: str | None, pairs: tuple[str, ...], to: str, count: int, mode: str, wait: bool,
    timeout: float, admin: str, token: str | None, form: str,
) -> None:  # fmt: skip
    """Send events to a broker, and tell how each delivery ended.

    Prints the broker's answer to each event: 202 means that it is durable. With --wait the admin
    API is asked what became of it. The exit code is 0 if everything sent was accepted (and, with
    --wait, delivered), 1 if not, 69 if the gateway cannot be reached.
    """
    if id_ is not None and count > 1:
        raise click.UsageError("--id names one event; leave it out together with --count")
    payload = events.data_of(data, fields)
    attributes: dict[str, str | None] = {
        "type": type_, "source": source, "subject": subject, "id": id_,
        "datacontenttype": content_type or events.content_type_of(payload), **events.extensions(pairs),
    }  # fmt: skip
    draft = Draft(attributes, payload)
    draft.event()
    door = address(to, "--to")
    broker = broker_in(door) if wait else ""
    watcher = options.client(admin, token) if wait else None
    sent: list[Sent] = []
    with closing(connection(door, POST_TIMEOUT)) as wire:
        for _ in range(count):
            one = Sent(draft.event())
            if watcher is None:
                post(wire, door, one, mode)
            else:
                post_and_follow(wire, door, one, mode, watcher, broker, timeout)
            sent.append(one)
            report(one, broker.partition("/")[0], form)
    conclude(sent, form)


def broker_in(door: Address) -> str:
    """`namespace/name` from the URL's path, where the admin API can look for it."""
    namespace, _, name = door.path.partition("?")[0].strip("/").partition("/")
    if not namespace or not name or "/" in name:
        raise click.BadParameter(
            f"--wait needs a URL that ends in /NAMESPACE/BROKER, not {door.url}", param_hint="--to"
        )
    return f"{namespace}/{name}"


def post(wire: HTTPConnection, door: Address, one: Sent, mode: str) -> None:
    """POST the event and note the answer."""
    headers, body = encode(one.event, mode)
    with reaching(door, "--to"):
        wire.putrequest("POST", door.path or "/", skip_accept_encoding=True)
        for name, value in headers:
            wire.putheader(name, value)
        wire.putheader("content-length", str(len(body)))
        with suppress(BrokenPipeError, ConnectionResetError):
            # Refused before all of it was sent (413): the answer is there to be read.
            wire.endheaders(body)
        answer = wire.getresponse()
        text = answer.read()
    one.status = answer.status
    if not one.accepted:
        one.detail = problem_detail(text) or answer.reason


def post_and_follow(
    wire: HTTPConnection,
    door: Address,
    one: Sent,
    mode: str,
    watcher: AdminClient,
    broker: str,
    timeout: float,
) -> None:
    """Register before sending, so that nothing is missed; then follow it to its end."""
    event = one.event
    until = time.monotonic() + timeout
    with watcher.follow("watch", until=until, broker=broker, source=event.source, id=event.id) as facts:
        next(facts, None)
        post(wire, door, one, mode)
        # Following may take longer than a gateway keeps an idle connection: the next event opens its own.
        wire.close()
        one.fate = Fate()
        if one.accepted:
            one.fate.follow(facts)


def encode(event: Event, mode: str) -> tuple[list[tuple[str, bytes]], bytes]:
    """Headers and body of the message (CloudEvents HTTP binding, 3.1 and 3.2)."""
    from mesh_gateway.wire import json, text

    if mode == "structured":
        return [("content-type", b"application/cloudevents+json")], json.encode(event)
    headers = [
        ("content-type", value.encode())
        if name == "datacontenttype"
        else (f"ce-{name}", text.encode(value).encode())
        for name, value in event.attributes.items()
    ]
    return headers, event.data or b""


def report(one: Sent, namespace: str, form: str) -> None:
    """One line for one event, as it comes; arrays wait until all are known."""
    if form == "table":
        click.echo(one.sentence(namespace))
    elif form == "jsonl":
        document(one.document(), form)


def conclude(sent: list[Sent], form: str) -> None:
    """What is left to print, and the exit code."""
    if form in ("json", "yaml"):
        told = [one.document() for one in sent]
        document(told[0] if len(told) == 1 else told, form)
    if len(sent) > 1:
        notice(f"sent {len(sent)}: {sum(one.accepted for one in sent)} accepted")
    if any(one.accepted and one.fate is not None and not one.fate.copies and one.fate.done for one in sent):
        notice(
            "no trigger wants it; mesh-gateway explain names the clause that refuses it (relays are shown by status)"
        )
    if not all(one.good for one in sent):
        raise SystemExit(Exit.CHECK_FAILED)
