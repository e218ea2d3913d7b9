"""`help`: about a verb, or about an error code."""

from __future__ import annotations

import difflib
import re

import click


@click.command("help")
@click.argument("topic", nargs=-1, metavar="[VERB|CODE]")
@click.pass_context
def command(ctx: click.Context, topic: tuple[str, ...]) -> None:
    """Explain a verb, or an error code such as MG011."""
    if len(topic) == 1 and re.fullmatch(r"MG\d+", topic[0], re.IGNORECASE):
        click.echo(code_text(topic[0].upper()))
    else:
        click.echo(verb_text(ctx, topic))


def code_text(code: str) -> str:
    """What the code is about and where to read on. Raises a usage error for an unknown one."""
    from mesh_gateway.topology.faults import CODES, RETIRED

    if code in RETIRED:
        return f"{code}: {RETIRED[code]}\n\nNot reported any more; docs/errors/{code}.md in the project says since when."
    if code not in CODES:
        close = difflib.get_close_matches(code, CODES, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(CODES)}"
        raise click.UsageError(f"no fault has the code {code}; {hint}")
    severity, about = CODES[code]
    return (
        f"{code} ({severity}): {about}\n\n"
        "`mesh-gateway lint` shows where, and in its message how to mend it.\n"
        f"Causes and examples: docs/errors/{code}.md in the project."
    )


def verb_text(ctx: click.Context, path: tuple[str, ...]) -> str:
    """The help of a verb (`dlq redrive` is two words), or of everything."""
    above = ctx.parent
    assert above is not None
    for name in path:
        group = above.command
        found = group.get_command(above, name) if isinstance(group, click.Group) else None
        if found is None:
            raise click.UsageError(f"there is no verb {' '.join(path)!r}", ctx.parent)
        above = found.context_class(found, info_name=name, parent=above)
    return above.get_help()
