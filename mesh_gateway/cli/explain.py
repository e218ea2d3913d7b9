"""`explain`: which triggers take an event, and which clause refuses it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mesh_gateway.cli import events, options
from mesh_gateway.cli.output import clean, colour, document

if TYPE_CHECKING:
    from mesh_gateway.event import Event
    from mesh_gateway.topology.spec import GatewaySpec, TriggerSpec
    from mesh_gateway.transport.plugins import Plugins

EXAMPLES = """\b
Examples:
  mesh-gateway explain -f mesh.yaml --type order.created --source /us/web -a vip=true
  mesh-gateway explain -f mesh.yaml --broker shop/orders event.json
"""


@click.command("explain", epilog=EXAMPLES)
@click.argument("event", required=False, metavar="[EVENT|-]")
@options.documents
@click.option("--broker", metavar="NS/NAME", callback=options.broker_name, help="Default: every broker.")
@click.option("--type", "type_", help="The event's type, instead of EVENT.")
@click.option("--source", help=f"Its source; default {events.SOURCE}.")
@click.option("--subject", help="Its subject.")
@click.option(
    "-a", "--attribute", "pairs", multiple=True, metavar="NAME=VALUE", help="Another attribute of it."
)
@options.data_output()
def command(
    event: str | None, files: tuple[str, ...], env_file: Path | None, broker: str | None, type_: str | None,
    source: str | None, subject: str | None, pairs: tuple[str, ...], form: str,
) -> None:  # fmt: skip
    """Say which triggers take an event, and which clause refuses it.

    EVENT is a file with one event as JSON (structured mode; id and specversion may be left out), or
    - for standard input. Nothing is sent: the documents alone are asked.
    """
    from mesh_gateway.cli import documents
    from mesh_gateway.transport.plugins import load_plugins

    asked = the_event(event, type_, source, subject, pairs)
    plugins = load_plugins()
    if event == "-" and "-" in files:
        raise click.UsageError("standard input is either the event or the documents")
    spec = documents.spec_of(documents.read(files, env_file, plugins))
    names = [documents.broker_among(spec, broker, "--broker")] if broker else list(spec.brokers)
    verdicts = [verdict(trigger, asked, plugins) for name in names for trigger in triggers_of(spec, name)]
    if form != "table":
        document({"event": dict(asked.attributes), "triggers": verdicts}, form)
        return
    for name in names:
        if len(names) > 1:
            click.echo(f"{name}:")
        mine = [one for one in verdicts if one["broker"] == name]
        for one in mine:
            click.echo(("  " if len(names) > 1 else "") + sentence(one))
        if not mine:
            click.echo("broker " + name + " has no triggers")


def the_event(
    path: str | None, type_: str | None, source: str | None, subject: str | None, pairs: tuple[str, ...]
) -> Event:
    """The event of the file, or of the flags; never of both."""
    if path is not None:
        if type_ or source or subject or pairs:
            raise click.UsageError("give either EVENT or its attributes as options")
        return events.read(path, "EVENT")
    if type_ is None:
        raise click.UsageError("give an EVENT file, or at least --type")
    attributes: dict[str, str | None] = {"type": type_, "source": source or events.SOURCE, "subject": subject}
    return events.build({**attributes, **events.extensions(pairs)})


def triggers_of(spec: GatewaySpec, broker: str) -> list[TriggerSpec]:
    return [trigger for trigger in spec.triggers.values() if trigger.broker == broker]


def verdict(trigger: TriggerSpec, event: Event, plugins: Plugins) -> dict[str, Any]:
    """What the trigger does with the event, for programs."""
    from mesh_gateway.cli import documents
    from mesh_gateway.filters.dialects import parse

    custom = {name: kind.compile for name, kind in plugins.filters.items()}
    refusal = parse(trigger.filters, trigger.filter_attributes, custom).why_not(event)
    return {
        "trigger": trigger.key,
        "broker": trigger.broker,
        "takes": refusal is None,
        "why_not": refusal,
        "destination": documents.destination(trigger.destination),
        "delivery": documents.delivery(trigger.delivery),
        "retry": trigger.delivery.retry,
        "dead_letters": documents.dead_letters(trigger.delivery),
    }


def sentence(verdict: dict[str, Any]) -> str:
    """One line for a person."""
    if verdict["takes"]:
        return (
            f"{colour('✓', 'green')} {verdict['trigger']} → {verdict['destination']} ({verdict['delivery']})"
        )
    return f"{colour('✗', 'red')} {verdict['trigger']}  {clean(verdict['why_not'])}"
