"""Options that several verbs share, so that they read and behave the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mesh_gateway.cli.admin import AdminClient

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_ADMIN = "http://127.0.0.1:8081"
DEFAULT_FILE = "mesh.yaml"


def output(*forms: str) -> Callable[[F], F]:
    """`-o`, with the first form as the default; the verb's parameter is `form`."""
    return click.option(
        "-o", "--output", "form", type=click.Choice(forms), default=forms[0], show_default=True,
        help="Form of what is printed.",
    )  # fmt: skip


def data_output() -> Callable[[F], F]:
    """`-o` of a verb that prints data."""
    return output("table", "json", "jsonl", "yaml")


def admin(function: F) -> F:
    """`--admin` and `--token`; `client(admin, token)` makes the client of them."""
    for option in (
        click.option(
            "--token", envvar="MESH_GATEWAY_ADMIN_TOKEN", show_envvar=True,
            help="Token of the admin API. The variable keeps it out of the process list.",
        ),
        click.option(
            "--admin", envvar="MESH_GATEWAY_ADMIN", show_envvar=True, default=DEFAULT_ADMIN,
            show_default=True, metavar="URL", help="Admin API of the gateway.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def client(admin: str, token: str | None) -> AdminClient:
    """The client for the values of `--admin` and `--token`."""
    from mesh_gateway.cli.admin import AdminClient

    return AdminClient(admin, token or None)


def documents(function: F) -> F:
    """`-f` and `--env-file`; `mesh_gateway.cli.documents` reads them."""
    for option in (
        click.option(
            "--env-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
            help="NAME=VALUE lines for ${NAME} in the documents; the environment wins.",
        ),
        click.option(
            "-f", "--file", "files", multiple=True, metavar="PATH",
            help="File, directory (*.yaml, *.yml) or - for standard input; may be repeated.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def broker_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Callback: `NAMESPACE/NAME`; a bare name is in the namespace `default`, as in the documents."""
    if value is None:
        return None
    namespace, slash, name = value.rpartition("/")
    if not name or (slash and not namespace) or "/" in namespace:
        raise click.BadParameter(f"{value!r} is not NAMESPACE/NAME", ctx, param)
    return f"{namespace or 'default'}/{name}"
