"""`completion`: the script that teaches a shell the verbs and their options."""

from __future__ import annotations

import click

from mesh_gateway.cli import ALIAS, PROGRAM

EXAMPLES = """\b
Examples:
  source <(mesh-gateway completion bash)                # in ~/.bashrc
  source <(mesh-gateway completion zsh)                 # in ~/.zshrc, after compinit
  mesh-gateway completion fish > ~/.config/fish/completions/mesh-gateway.fish
"""


@click.command("completion", epilog=EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    It serves both names of the command, mesh-gateway and mgw.
    """
    from click.shell_completion import get_completion_class

    from mesh_gateway.cli.group import cli

    script = get_completion_class(shell)
    assert script is not None
    for program in (PROGRAM, ALIAS):
        variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
        # `ShellComplete.source()` of bash first runs bash to look at its version; the template alone does not.
        complete = script(cli, {}, program, variable)
        click.echo(complete.source_template % complete.source_vars())
