"""`probe`: a gateway under load that is killed and cut, and a verdict on what became of its events."""

from __future__ import annotations

import re
import secrets
import shutil
from dataclasses import replace
from pathlib import Path

import click

from mesh_gateway.cli import options
from mesh_gateway.cli.http import address
from mesh_gateway.cli.probe_run import folder, for_users, own_run, users_run
from mesh_gateway.cli.probe_verdict import judge, show

DEFAULT_PORT = 9180

USERS_SILENCE = 40.0
"""Seconds: what a killed gateway had in hand comes again after SQS's visibility timeout of 30 s by default, and the prober
cannot ask somebody's gateway whether something is still to come.
"""

EXAMPLES = """\b
Examples:
  mesh-gateway probe                                   # embedded, kill -9 and SIGTERM, half a minute
  mesh-gateway probe --faults all --seconds 120 --history ./run
  mesh-gateway probe -f kafka.yaml                     # the same over the Transport in that file
  mesh-gateway probe documents shop/probe --host 10.0.0.5 > probe.yaml     # for a gateway of your own
  mesh-gateway probe --broker http://10.0.0.7:8080/shop/probe --listen 0.0.0.0 --fault 'restart=docker restart mesh'
  mesh-gateway probe check ./run                       # judge a history again
"""


def fault_names(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Callback: names with commas between, `all` or `none`."""
    from mesh_gateway.testing.probe.nemesis import FAULTS

    if value is None or value == "none":
        return None if value is None else ()
    names = tuple(FAULTS) if value == "all" else tuple(name.strip() for name in value.split(","))
    for name in names:
        if name not in FAULTS:
            raise click.BadParameter(
                f"there is no fault {name!r}; there are {', '.join(FAULTS)}, all, none", ctx, param
            )
    return tuple(dict.fromkeys(names))


def own_faults(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Callback: `NAME=COMMAND`."""
    found = {}
    for value in values:
        name, equals, command = value.partition("=")
        if not equals or not command.strip() or not re.fullmatch(r"[a-z0-9-]{1,40}", name):
            raise click.BadParameter(
                f"{value!r} is not NAME=COMMAND, with a name of a-z, 0-9 and -", ctx, param
            )
        found[name] = command
    return found


@click.group("probe", invoke_without_command=True, epilog=EXAMPLES)
@click.option("--seed", type=int, help="Of events, answers and faults; random if not given, and told.")
@click.option(
    "--seconds", type=click.FloatRange(min=5, max=86_400), default=30.0, show_default=True, help="Of load."
)
@click.option(
    "--rate",
    type=click.FloatRange(min=1, max=5_000),
    default=200.0,
    show_default=True,
    help="Events a second.",
)
@click.option(
    "--faults",
    callback=fault_names,
    metavar="NAMES",
    help="kill, terminate, pause, subscriber, letters, collapse, reload; all; none. Default: kill,terminate, and none with --broker.",
)
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    metavar="PATH",
    help="One Transport document, on which the Broker of the run then lies; may be repeated (Secrets).",
)
@click.option(
    "--broker",
    metavar="URL",
    help="Probe the gateway that serves this Broker, instead of one of the run's own.",
)
@click.option(
    "--listen",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Where the sinks listen, with --broker.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65_000),
    default=DEFAULT_PORT,
    show_default=True,
    help="The first sink's, with --broker; the others have the next ones.",
)
@click.option(
    "--fault",
    "commands",
    multiple=True,
    callback=own_faults,
    metavar="NAME=COMMAND",
    help="A fault that this shell command makes and heals; may be repeated.",
)
@click.option(
    "--silence",
    type=click.FloatRange(min=1, max=600),
    metavar="SECONDS",
    help="For so long nothing must come for the run to be over. Default: 5, and 40 with --broker.",
)
@click.option(
    "--history",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the history in this new folder.",
)
@options.output("table", "json")
@click.pass_context
def command(
    ctx: click.Context, seed: int | None, seconds: float, rate: float, faults: tuple[str, ...] | None,
    files: tuple[str, ...], broker: str | None, listen: str, port: int, commands: dict[str, str],
    silence: float | None, history: Path | None, form: str,
) -> None:  # fmt: skip
    """Kill a gateway under load, and judge whether anything was lost.

    Senders, subscribers that fail by a script, and faults run in processes of their own; each writes down what it
    does, and a checker judges what they wrote. Without options, over the embedded transport in a temporary folder. The
    exit code is 0 for a pass, 1 for an anomaly (with the lines that prove it), and 3 if the run proves nothing:
    too few events, or faults that met nothing. The history of a run that is no pass is kept.
    """
    if ctx.invoked_subcommand is not None:
        return
    if broker is not None and files:
        raise click.UsageError("-f is for a gateway of the run's own; with --broker it lies where it lies")
    if broker is not None and faults and set(faults) - {"subscriber"}:
        raise click.UsageError("with --broker the gateway is yours: hurt it with --fault NAME=COMMAND")
    if broker is not None:
        address(broker, "--broker")
    from mesh_gateway.testing.probe.plan import Plan

    plan = Plan(seed=secrets.randbelow(10**6) if seed is None else seed, seconds=seconds, rate=rate)
    plan = replace(plan, silence=silence or (plan.silence if broker is None else USERS_SILENCE))
    with folder(history) as directory:
        if broker is None:
            plan = replace(plan, faults=("kill", "terminate") if faults is None else faults)
            judged = own_run(plan, directory, files, commands)
        else:
            plan = for_users(replace(plan, faults=faults or ()), listen, port)
            judged = users_run(replace(plan, broker=broker), directory, commands)
        show(judged, form, directory)
        if judged.word == "pass" and history is None:
            shutil.rmtree(directory)
    raise SystemExit(judged.exit_code)


@command.command("check")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@options.output("table", "json")
def check(directory: Path, form: str) -> None:
    """Judge a history that was kept with --history."""
    judged = judge(directory)
    show(judged, form, directory)
    raise SystemExit(judged.exit_code)


@command.command("documents")
@click.argument("broker", metavar="NS/BROKER", callback=options.broker_name)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where your gateway finds the sinks.")
@click.option(
    "--port",
    type=click.IntRange(1, 65_000),
    default=DEFAULT_PORT,
    show_default=True,
    help="The first sink's.",
)
def documents(broker: str, host: str, port: int) -> None:
    """Print the Triggers that `probe --broker` needs on your gateway.

    Serve them beside a Broker that nothing else is sent to, then run `probe --broker` with the same --port.
    """
    from mesh_gateway.testing.probe.plan import Plan, trigger_documents

    namespace, _, name = broker.partition("/")
    click.echo(trigger_documents(for_users(Plan(), host, port), namespace, name, f"http://{host}"), nl=False)
