"""`list`: what documents may name, and the relays of documents."""

from __future__ import annotations

from pathlib import Path

import click

from mesh_gateway.cli import options
from mesh_gateway.cli.output import rows

NOUNS = ("transports", "filters", "sinks", "kinds")
"""What documents may name."""
OF_DOCUMENTS = ("relays",)
"""What stands in documents."""

DIALECTS = {
    "exact": "attributes equal these values",
    "prefix": "attributes begin with these values",
    "suffix": "attributes end with these values",
    "all": "every one of these filters lets it through",
    "any": "at least one of these filters lets it through",
    "not": "this filter does not let it through",
    "cesql": "a CloudEvents SQL expression is true",
}

SINKS = {
    "http": "POST to a URL",
    "https": "POST to a URL, over TLS",
    "display": "print to the gateway's standard output",
}


@click.command("list")
@click.argument("noun", type=click.Choice((*NOUNS, *OF_DOCUMENTS)), required=False)
@options.documents
@options.data_output()
def command(noun: str | None, files: tuple[str, ...], env_file: Path | None, form: str) -> None:
    """List transports, filters, sinks, kinds of document, or relays.

    Without a noun, everything that documents may name: what is built in, and what the installed plugins bring. Only
    relays are read from -f.
    """
    if noun in OF_DOCUMENTS:
        rows(relays(files, env_file), ("relay", "broker", "filter", "to", "credentials"), form)
        return
    found = [item for name in ([noun] if noun else NOUNS) for item in items(name)]
    rows(found, ("what", "name", "summary"), form)


def relays(files: tuple[str, ...], env_file: Path | None) -> list[dict[str, str]]:
    """From where the relays of these documents lead where, and as whom."""
    from mesh_gateway.cli import documents
    from mesh_gateway.cli.describe import dialects
    from mesh_gateway.filters.dialects import parse
    from mesh_gateway.transport.plugins import load_plugins

    plugins = load_plugins()
    spec = documents.spec_of(documents.read(files, env_file, plugins))
    return [
        {
            "relay": relay.key,
            "broker": relay.broker,
            "filter": parse(relay.filters, (), dialects(plugins)).describe() or "everything",
            "to": documents.destination(relay.destination),
            "credentials": documents.credentials(relay.destination),
        }
        for relay in spec.relays.values()
    ]


def items(noun: str) -> list[dict[str, str]]:
    """What there is of one noun."""
    from mesh_gateway.transport.plugins import load_plugins

    what = noun.removesuffix("s")
    if noun == "kinds":
        named = kinds()
    else:
        plugins = load_plugins()
        named = {
            "transports": {name: kind.summary for name, kind in plugins.transports.items()},
            "filters": {**DIALECTS, **dict.fromkeys(plugins.filters, "from a plugin")},
            "sinks": {**SINKS, **dict.fromkeys(plugins.sinks, "from a plugin")},
        }[noun]
    return [{"what": what, "name": name, "summary": summary} for name, summary in named.items()]


def kinds() -> dict[str, str]:
    """The kinds of document that are read, with the first line of their models' descriptions."""
    from mesh_gateway.topology.documents import MODELS

    return {
        f"{version} {kind}": (model.__doc__ or "").strip().partition("\n")[0]
        for (version, kind), model in MODELS.items()
    }
