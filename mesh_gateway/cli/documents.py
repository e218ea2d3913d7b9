"""Reading the documents of `-f`, and saying in a few words what stands in them."""

from __future__ import annotations

import os
from pathlib import Path

import click

from mesh_gateway.cli.exits import BadConfiguration
from mesh_gateway.cli.options import DEFAULT_FILE
from mesh_gateway.cli.output import notice
from mesh_gateway.topology.faults import Severity, render
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.load import Loaded, Source, load, load_each
from mesh_gateway.topology.spec import (
    BrokerDestination,
    DeliverySpec,
    Destination,
    GatewaySpec,
    HttpDestination,
)
from mesh_gateway.transport.plugins import Plugins


def read(
    files: tuple[str, ...],
    env_file: Path | None,
    plugins: Plugins,
    *,
    strict: bool = False,
    partial: bool = False,
) -> Loaded:
    """Load what `-f` names; without `-f`, the `mesh.yaml` of this directory."""
    return load(
        Source.from_paths(named(files)),
        environment=environment(env_file),
        kinds=Kinds.of(plugins),
        strict=strict,
        partial=partial,
    )


def read_each(
    files: tuple[str, ...], env_file: Path | None, plugins: Plugins, *, strict: bool, partial: bool
) -> list[Loaded]:
    """The same for several gateways: each `-f` is one, if more than one of them has a Gateway document."""
    return load_each(
        [Source.from_paths([file]) for file in named(files)],
        environment=environment(env_file),
        kinds=Kinds.of(plugins),
        strict=strict,
        partial=partial,
    )


def named(files: tuple[str, ...]) -> tuple[str, ...]:
    """What `-f` names; without it the file of this directory. Raises a usage error when there is none."""
    if files:
        return files
    if not Path(DEFAULT_FILE).is_file():
        raise click.UsageError(
            f"give the documents with -f; there is no {DEFAULT_FILE} here (mesh-gateway init writes one)"
        )
    return (DEFAULT_FILE,)


def spec_of(loaded: Loaded, *, show: tuple[Severity, ...] = ("error",)) -> GatewaySpec:
    """The spec, after printing the faults of these severities. Raises `BadConfiguration` on errors."""
    shown = [fault for fault in loaded.faults if fault.severity in show]
    if shown:
        notice(render(shown))
    if loaded.spec is None:
        raise BadConfiguration(
            f"{len(loaded.errors)} error(s) in the documents; mesh-gateway help CODE explains a code"
        )
    return loaded.spec


def environment(env_file: Path | None) -> dict[str, str]:
    """The process's environment over the variables of the file."""
    if env_file is None:
        return dict(os.environ)
    try:
        lines = env_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"cannot read {env_file}: {error}", param_hint="--env-file") from error
    found: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        if not equals or not name.strip().isidentifier():
            raise click.BadParameter(f"{env_file}:{number}: not NAME=VALUE", param_hint="--env-file")
        found[name.strip()] = _unquoted(value.strip())
    return {**found, **os.environ}


def destination(to: Destination) -> str:
    """Where something is delivered to."""
    if isinstance(to, HttpDestination):
        return to.url
    return f"broker {to.broker}" if isinstance(to, BrokerDestination) else to.uri


def credentials(to: Destination) -> str:
    """By what the other side knows who sends; never the credential itself."""
    if not isinstance(to, HttpDestination):
        return "none needed"
    named = [("bearer", to.bearer), ("client certificate", to.client_certificate)]
    return ", ".join(name for name, value in named if value is not None) or "none"


def delivery(how: DeliverySpec) -> str:
    """`retry 3 linear, dead letters to http://dls:8080`."""
    retry = f"retry {how.retry} {how.backoff_policy}" if how.retry else "one attempt"
    return f"{retry}, dead letters to {dead_letters(how)}"


def dead_letters(how: DeliverySpec) -> str:
    """Where what cannot be delivered ends."""
    return "the broker's own channel" if how.dead_letter_sink is None else destination(how.dead_letter_sink)


def broker_among(spec: GatewaySpec, name: str, option: str) -> str:
    """The broker's name, if it is there. Raises a usage error that lists those that are."""
    if name not in spec.brokers:
        known = ", ".join(spec.brokers) or "none"
        raise click.BadParameter(f"no broker {name} in the documents; there are: {known}", param_hint=option)
    return name


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value
