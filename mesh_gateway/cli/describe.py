"""`describe`: a kind of transport, or a trigger or relay with everything that is inherited filled in."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mesh_gateway.cli import options
from mesh_gateway.cli.exits import CheckFailed
from mesh_gateway.cli.output import clean, document, duration, table

if TYPE_CHECKING:
    from mesh_gateway.topology.spec import DeliverySpec, RelaySpec, TransportSpec, TriggerSpec
    from mesh_gateway.transport.hooks import TransportKind
    from mesh_gateway.transport.negotiation import Needs
    from mesh_gateway.transport.plugins import Plugins


@click.group("describe")
def command() -> None:
    """Describe a kind of transport, a trigger, or a relay."""


@command.command("transport")
@click.argument("kind")
@options.data_output()
def transport(kind: str, form: str) -> None:
    """Describe a kind of transport: its options, and what it can do."""
    from mesh_gateway.errors import PluginError
    from mesh_gateway.transport.plugins import load_plugins

    plugins = load_plugins()
    found = plugins.transports.get(kind) or refuse(kind, plugins)
    try:
        told = transport_facts(found)
    except PluginError as error:
        hint = f"; {found.install_hint}" if found.install_hint else ""
        raise CheckFailed(f"{error}{hint}") from error
    if form != "table":
        document(told, form)
        return
    click.echo(f"{clean(found.name)}: {clean(found.summary)}\n")
    if told["options"]:
        columns = ("option", "type", "default", "description")
        table(columns, [[one[column] for column in columns] for one in told["options"]])
        click.echo()
    if told["capabilities"] is None:
        click.echo("what it can do depends on its options")
    else:
        table(("capability", "value"), [(name, words(value)) for name, value in told["capabilities"].items()])


def refuse(kind: str, plugins: Plugins) -> TransportKind:
    """Raises: nobody brings this kind."""
    close = difflib.get_close_matches(kind, plugins.transports, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(plugins.transports)}"
    broken = [f"; plugin {name} could not be loaded: {why}" for name, why in plugins.failed.items()]
    raise click.BadParameter(f"no plugin brings {kind!r}; {hint}{''.join(broken)}", param_hint="KIND")


def transport_facts(kind: TransportKind) -> dict[str, Any]:
    """Everything about a kind. Raises `PluginError` when its modules cannot be imported."""
    from mesh_gateway.transport.negotiation import declared
    from mesh_gateway.transport.plugins import import_string

    schema = import_string(kind.options).model_json_schema(by_alias=True)
    can = declared(kind, {}, import_string)
    return {
        "name": kind.name,
        "summary": kind.summary,
        "api": kind.api,
        "broker_classes": list(kind.broker_classes),
        "options": [option(name, one, schema) for name, one in schema.get("properties", {}).items()],
        "capabilities": None if can is None else capability_values(can),
    }


def option(name: str, schema: Mapping[str, Any], whole: Mapping[str, Any]) -> dict[str, Any]:
    """One option of a transport, as its model's JSON Schema tells it."""
    needed = name in whole.get("required", ())
    return {
        "option": name,
        "type": type_words(schema, whole.get("$defs", {})),
        "required": needed,
        "default": "(needed)" if needed else schema.get("default"),
        "description": schema.get("description", ""),
    }


def type_words(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """A JSON Schema's type in a few words: `string`, `verify | off`, `array of string`."""
    if "$ref" in schema:
        return type_words(definitions.get(schema["$ref"].rpartition("/")[2], {}), definitions)
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        words = [type_words(one, definitions) for one in schema["anyOf"] if one.get("type") != "null"]
        return " | ".join(dict.fromkeys(words))
    if schema.get("type") == "array":
        return f"array of {type_words(schema.get('items', {}), definitions)}"
    return str(schema.get("type", "any"))


def capability_values(can: Any) -> dict[str, Any]:
    """Capabilities as plain values; an endless delay is the text `any`."""
    plain: dict[str, Any] = {}
    for name, value in asdict(can).items():
        if isinstance(value, frozenset):
            plain[name] = sorted(value)
        else:
            plain[name] = "any" if value == float("inf") else value
    return plain


def words(value: Any) -> Any:
    """A capability for a person."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (", ".join(value) or None) if isinstance(value, list) else value


@command.command("trigger")
@click.argument("trigger", metavar="NS/NAME", callback=options.broker_name)
@options.documents
@options.data_output()
def trigger(trigger: str, files: tuple[str, ...], env_file: Path | None, form: str) -> None:
    """Describe a trigger as it will run, with everything inherited filled in."""
    from mesh_gateway.cli import documents
    from mesh_gateway.topology.needs import needs_of
    from mesh_gateway.transport.plugins import load_plugins

    plugins = load_plugins()
    spec = documents.spec_of(documents.read(files, env_file, plugins))
    found = among(spec.triggers, trigger, "trigger")
    transport = spec.transports[spec.brokers[found.broker].transport]
    told = trigger_facts(found, transport.name, plugins)
    told["needs"] = needs_met(needs_of(found, spec.ingress.max_event_bytes), transport, plugins)
    show(told, form)


@command.command("relay")
@click.argument("relay", metavar="NS/NAME", callback=options.broker_name)
@options.documents
@options.data_output()
def relay(relay: str, files: tuple[str, ...], env_file: Path | None, form: str) -> None:
    """Describe a relay as it will run, with everything that it does not say filled in."""
    from mesh_gateway.cli import documents
    from mesh_gateway.topology.needs import needs_of_relay
    from mesh_gateway.transport.plugins import load_plugins

    plugins = load_plugins()
    spec = documents.spec_of(documents.read(files, env_file, plugins))
    found = among(spec.relays, relay, "relay")
    transport = spec.transports[spec.brokers[found.broker].transport]
    told = relay_facts(found, transport.name, plugins)
    told["needs"] = needs_met(needs_of_relay(found, spec.ingress.max_event_bytes), transport, plugins)
    show(told, form)


T = TypeVar("T")


def among(found: Mapping[str, T], name: str, what: str) -> T:
    """The one of this name. Raises a usage error that lists those there are."""
    if name not in found:
        known = ", ".join(found) or "none"
        raise click.BadParameter(
            f"no {what} {name} in the documents; there are: {known}", param_hint="NS/NAME"
        )
    return found[name]


def show(told: Mapping[str, Any], form: str) -> None:
    """Facts as lines with the needs as a table below, or as data."""
    if form != "table":
        document(told, form)
        return
    for name, value in told.items():
        if name != "needs":
            click.echo(f"{name.replace('_', ' '):17} {clean(value)}")
    table(
        ("need", "how", "price or way out"),
        [[one["need"], one["how"], one["says"] or None] for one in told["needs"]],
    )


def needs_met(needs: Needs, transport: TransportSpec, plugins: Plugins) -> list[dict[str, str]]:
    """How the transport meets each need; nothing where the plugin cannot be used."""
    from mesh_gateway.transport.negotiation import declared, negotiate
    from mesh_gateway.transport.plugins import import_string

    kind = plugins.transports.get(transport.kind)
    can = None if kind is None else declared(kind, transport.options, import_string)
    return [] if can is None else [asdict(finding) for finding in negotiate(needs, can)]


def trigger_facts(trigger: TriggerSpec, transport: str, plugins: Plugins) -> dict[str, Any]:
    """What runs, in the order of an event's way through it."""
    from mesh_gateway.cli import documents
    from mesh_gateway.filters.dialects import parse

    how = trigger.delivery
    filter = parse(trigger.filters, trigger.filter_attributes, dialects(plugins))
    return {
        "trigger": trigger.key,
        "broker": trigger.broker,
        "transport": transport,
        "read": trigger.read,
        "start": trigger.start.at if trigger.read == "dedicated" else None,
        "filter": filter.describe() or "everything",
        "order": trigger.order,
        "parallelism": trigger.parallelism,
        "window": f"{trigger.window_events} events, {trigger.window_bytes} bytes",
        "when_full": trigger.overflow,
        "subscriber": documents.destination(trigger.destination),
        "format": how.format,
        "replies": "accepted" if trigger.replies else "ignored",
        "timeout": duration(how.timeout),
        "retry": how.retry,
        "backoff": backoff(how),
        "dead_letters": documents.dead_letters(how),
    }


def relay_facts(relay: RelaySpec, transport: str, plugins: Plugins) -> dict[str, Any]:
    """The same of a relay."""
    from mesh_gateway.cli import documents
    from mesh_gateway.filters.dialects import parse

    how = relay.delivery
    return {
        "relay": relay.key,
        "broker": relay.broker,
        "transport": transport,
        "start": relay.start.at,
        "filter": parse(relay.filters, (), dialects(plugins)).describe() or "everything",
        "to": documents.destination(relay.destination),
        "credentials": documents.credentials(relay.destination),
        "rate": "as fast as it goes" if relay.rate is None else f"{relay.rate:g} events a second",
        "compression": relay.compression,
        "timeout": duration(how.timeout),
        "retry": how.retry,
        "backoff": backoff(how),
        "dead_letters": documents.dead_letters(how),
    }


def dialects(plugins: Plugins) -> dict[str, Any]:
    """The filter dialects of plugins."""
    return {name: kind.compile for name, kind in plugins.filters.items()}


def backoff(how: DeliverySpec) -> str:
    """`exponential, 200 ms, at most 1 h`."""
    return f"{how.backoff_policy}, {duration(how.backoff_delay)}, at most {duration(how.backoff_max)}"
