"""The verbs, and a Click group that imports one only when it is used.

Verb `x` is `mesh_gateway.cli.x:command`. The table below is all that `--help` and the completion of
a verb's name need, so neither imports a verb. A name that is not in it may be a plugin's
(`mesh_commands`), and only then are plugins loaded.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING

import click

from mesh_gateway import __version__
from mesh_gateway.cli.exits import CheckFailed

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SECTIONS: dict[str, dict[str, str]] = {
    "Serve": {
        "run": "Serve the documents until told to stop.",
        "dev": "Serve one broker that prints what arrives; no file needed.",
    },
    "Documents": {
        "init": "Write a commented mesh.yaml to begin with.",
        "lint": "Show every fault of every document in one pass.",
        "explain": "Say which triggers take an event, and which clause refuses it.",
        "plan": "Show what a change would do to a gateway, before it is done.",
        "graph": "Draw brokers, triggers, relays and subscribers.",
        "schema": "Print the JSON Schema of the documents, for editors.",
    },
    "Events": {
        "send": "Send events to a broker, and tell how each delivery ended.",
        "receive": "Be a subscriber that prints events, and fails on demand.",
    },
    "A running gateway": {
        "status": "Show what transports, brokers, triggers and relays are doing.",
        "reload": "Have the gateway read its files again, and wait for the outcome.",
        "dlq": "List, show and redrive dead letters.",
        "healthcheck": "Ask whether the gateway lives (or is ready).",
    },
    "Proof": {
        "probe": "Kill a gateway under load, and judge whether anything was lost.",
    },
    "What there is": {
        "list": "List transports, filters, sinks, kinds of document, or relays.",
        "describe": "Describe a kind of transport, a trigger, or a relay.",
        "plugins": "Show the plugins that were found, and check them.",
        "help": "Explain a verb, or an error code such as MG011.",
        "completion": "Print the completion script of a shell.",
        "version": "Print the version.",
    },
}

VERBS: dict[str, str] = {name: summary for verbs in SECTIONS.values() for name, summary in verbs.items()}


class LazyGroup(click.Group):
    """A group whose commands are modules that are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in VERBS:
            module = importlib.import_module(f"mesh_gateway.cli.{cmd_name}")
            command: click.Command = module.command
            return command
        return self.commands.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and name not in VERBS and not ctx.resilient_parsing:
            self._ask_plugins(name)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(11), summary) for name, summary in verbs.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        verbs = [
            CompletionItem(name, help=help) for name, help in VERBS.items() if name.startswith(incomplete)
        ]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)

    def _ask_plugins(self, name: str) -> None:
        """Let plugins add their verbs. Raises a usage error when none of them brings `name`."""
        from mesh_gateway.transport.plugins import load_plugins

        plugins = load_plugins()
        try:
            plugins.commands(self)
        except Exception as error:  # a plugin's hook may raise anything; say whose it is
            raise CheckFailed(
                f"a plugin failed while adding its commands: {type(error).__name__}: {error}"
            ) from error
        if name in self.commands:
            return
        close = difflib.get_close_matches(name, [*VERBS, *self.commands], n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        broken = [f"\nPlugin {plugin} could not be loaded: {why}" for plugin, why in plugins.failed.items()]
        raise click.UsageError(f"No such verb {name!r}.{hint}{''.join(broken)}")


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 check failed, 2 usage, 3 plan has changes or probe proves nothing, 69 gateway unreachable, 74 store not to be trusted, 78 bad configuration.",
)
@click.version_option(__version__, prog_name="mesh-gateway", message="%(prog)s %(version)s")
def cli() -> None:
    """An event mesh without Kubernetes: Knative's Broker and Trigger over the brokers you already run."""
