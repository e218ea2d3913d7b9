"""`list`: what documents may name."""

from __future__ import annotations

import click

from mesh_gateway.cli import options
from mesh_gateway.cli.output import rows

NOUNS = ("transports", "filters", "sinks", "kinds")

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
@click.argument("noun", type=click.Choice(NOUNS), required=False)
@options.data_output()
def command(noun: str | None, form: str) -> None:
    """List transports, filters, sinks or kinds of document.

    Without a noun, all of them: what is built in, and what the installed plugins bring.
    """
    found = [item for name in ([noun] if noun else NOUNS) for item in items(name)]
    rows(found, ("what", "name", "summary"), form)


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
