"""`dlq`: dead letters of a running gateway."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from mesh_gateway.cli import options
from mesh_gateway.cli.admin import AdminClient
from mesh_gateway.cli.exits import NotPossible
from mesh_gateway.cli.output import clean, document, moment, notice, rows

COLUMNS = ("broker", "position", "id", "source", "type", "trigger", "reason", "code", "attempts", "time")

PAGE = 1_000
"""Most rows that the admin API gives at a time."""


@click.group("dlq")
def command() -> None:
    """List, show and redrive dead letters.

    A dead letter is an event that its subscriber refused, or that was still undelivered after the
    last retry, and that no dead letter sink took.
    """


@command.command("list")
@click.argument("broker", metavar="[NS/BROKER]", required=False, callback=options.broker_name)
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Most rows.")
@options.admin
@options.data_output()
def list_(broker: str | None, limit: int, admin: str, token: str | None, form: str) -> None:
    """List dead letters, oldest first, of one broker or of all."""
    client = options.client(admin, token)
    found, more = collect(client, broker, limit) if broker else collect_all(client, limit)
    if form == "table":
        found = [{**item, "time": moment(item["time"])} for item in found]
    if found or form != "table":
        rows(found, COLUMNS, form)
    else:
        notice("no dead letters")
    if more:
        notice(f"these are the first {limit}; --limit shows more")


def brokers(client: AdminClient) -> list[str]:
    """The names of all brokers of the gateway."""
    return [broker["name"] for broker in client.get("status")["brokers"]]


def collect_all(client: AdminClient, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """As `collect`, of all brokers; those whose transport cannot show its dead letters are named and passed by."""
    found: list[dict[str, Any]] = []
    more = False
    for name in brokers(client):
        try:
            letters, more = collect(client, name, limit - len(found))
        except NotPossible as error:
            notice(f"{name} is left out: {clean(error.message)}")
            continue
        found += letters
        if more:
            break
    return found, more


def collect(client: AdminClient, broker: str, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """Up to `limit` rows of one broker, page by page, and whether there may be more."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    while len(found) < limit:
        size = min(PAGE, limit - len(found))
        page = client.get("dead-letters", broker=broker, after=after, limit=size)
        found += page["items"]
        after = page["next"]
        if after is None or not page["items"]:
            return found, False
    return found, True


@command.command("show")
@click.argument("broker", metavar="NS/BROKER", callback=options.broker_name)
@click.argument("position")
@options.admin
@options.data_output()
def show(broker: str, position: str, admin: str, token: str | None, form: str) -> None:
    """Show one dead letter: the event, and why it is here."""
    namespace, _, name = broker.partition("/")
    letter = options.client(admin, token).get("dead-letters", namespace, name, position)
    if form != "table":
        document(letter, form)
        return
    for column in COLUMNS:
        value = letter.get(column)
        click.echo(f"{column:9} {clean(moment(value) if column == 'time' else value)}")
    click.echo("event")
    # `ensure_ascii` keeps whatever the producer wrote from steering the terminal.
    click.echo(json.dumps(letter["event"], indent=2, ensure_ascii=True))


@command.command("redrive")
@click.argument("broker", metavar="NS/BROKER", callback=options.broker_name)
@click.option("--trigger", metavar="[NS/]NAME", help="Only what failed at this trigger.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, oldest first.")
@click.option("--yes", is_flag=True, help="Do it; without this it is a dry run.")
@options.admin
@options.data_output()
def redrive(
    broker: str, trigger: str | None, limit: int | None, yes: bool, admin: str, token: str | None, form: str
) -> None:
    """Send dead letters again, each to the trigger that failed and to no other."""
    namespace, _, name = broker.partition("/")
    wanted = {"trigger": trigger, "limit": limit, "dry_run": not yes}
    result = options.client(admin, token).post("dead-letters", namespace, name, "redrive", body=wanted)
    if form == "table":
        click.echo(sentence(result))
    else:
        document(result, form)


def sentence(result: Mapping[str, Any]) -> str:
    """`dry run: 41 events → 41 shop/billing · reasons 38×status 503, 3×timeout · run with --yes`."""
    dry = result["dry_run"]
    count = result["matched"] if dry else result["redriven"]
    start = f"dry run: {count} event(s)" if dry else f"redriven: {count} of {result['matched']} event(s)"
    parts = [start + (f" → {_counts(result['by_trigger'])}" if result["by_trigger"] else "")]
    if result["by_reason"]:
        parts.append(f"reasons {_counts(result['by_reason'])}")
    if dry and result["by_trigger"]:
        parts.append("run with --yes")
    return " · ".join(parts)


def _counts(of: Mapping[str, int]) -> str:
    most_first = sorted(of.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count}×{clean(name)}" for name, count in most_first)
