"""What `run` and `dev` share: the options laid over the documents."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from mesh_gateway.cli.exits import BadConfiguration
from mesh_gateway.topology.spec import GatewaySpec

F = TypeVar("F", bound=Callable[..., Any])

Listen = tuple[str, int] | None


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Around the imports of a gateway, which are most of the time from start to ready: makes that shorter by a sixth."""
    # What is imported stays: nobody need look at it again and again (a twelfth of the instructions until ready).
    gc.disable()
    # Structlog imports rich where it can, for tracebacks (a fifteenth, and 3 MB): `gateway.logs` does with the first of them.
    hidden = "rich" not in sys.modules
    if hidden:
        sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog  # noqa: F401
    finally:
        if hidden:
            del sys.modules["rich"]
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def host_port(ctx: click.Context, param: click.Parameter, value: str | None) -> Listen:
    """Callback: `HOST:PORT`, with IPv6 in brackets, as (host, port)."""
    from mesh_gateway.topology.gateway import listen_address

    if value is None:
        return None
    try:
        return listen_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def listeners(function: F) -> F:
    """`--ingress`, `--admin`, `--state` and `--log-level`."""
    for option in (
        click.option(
            "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info",
            show_default=True, help="What is logged on standard error.",
        ),
        click.option(
            "--state", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
            help="Where the embedded transport keeps its file.",
        ),
        click.option(
            "--admin", callback=host_port, metavar="HOST:PORT",
            help="Where the admin API listens.",
        ),
        click.option(
            "--ingress", callback=host_port, metavar="HOST:PORT",
            help="Where events are taken.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def given(ingress: Listen, admin: Listen, state: Path | None) -> frozenset[str]:
    """The options that say something else than the documents."""
    options = {"--ingress": ingress, "--admin": admin, "--state": state}
    return frozenset(name for name, value in options.items() if value is not None)


def overlaid(spec: GatewaySpec, ingress: Listen, admin: Listen, state: Path | None) -> GatewaySpec:
    """The spec with what the options say instead. Raises `BadConfiguration` for an open admin listener."""
    if ingress is not None:
        spec = replace(spec, ingress=replace(spec.ingress, host=ingress[0], port=ingress[1]))
    if admin is not None:
        from mesh_gateway.topology.gateway import is_loopback

        spec = replace(spec, admin=replace(spec.admin, host=admin[0], port=admin[1]))
        if spec.admin.token is None and not is_loopback(admin[0]):
            raise BadConfiguration(
                f"--admin {admin[0]}:{admin[1]} is open to others and has no token: "
                "set Gateway.spec.admin.token, or listen on 127.0.0.1"
            )
    if state is not None:
        spec = replace(spec, state_directory=state)
    return spec
