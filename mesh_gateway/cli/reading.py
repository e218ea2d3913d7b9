"""The documents that a gateway serves, as `run` and `dev` read them: at the start, and whenever a reload asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import click

from mesh_gateway.cli.documents import environment, named, spec_of
from mesh_gateway.gateway.files import Files
from mesh_gateway.gateway.reload import CannotReload
from mesh_gateway.topology.faults import Fault, render
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.load import Loaded, Source, load
from mesh_gateway.topology.spec import GatewaySpec
from mesh_gateway.transport.plugins import Plugins

SHOWN_FAULTS = 5
"""Of a reload that is refused: enough to see what is wrong, short enough for a log line and a status."""


class Reading:
    """The documents of `-f`, read at the start and again by a running gateway."""

    def __init__(
        self,
        files: tuple[str, ...],
        env_file: Path | None,
        plugins: Plugins,
        laid_over: Callable[[GatewaySpec], GatewaySpec],
    ) -> None:
        self._files = Files(named(files))
        self._env_file = env_file
        self._kinds = Kinds.of(plugins)
        self._laid_over = laid_over

    def first(self) -> GatewaySpec:
        """The spec, after printing the faults. Raises `BadConfiguration` on errors."""
        loaded = self._load(self._files.read())
        return self._laid_over(spec_of(loaded, show=("error", "warning", "notice")))

    def again(self) -> GatewaySpec:
        """The spec of the files as they are now. Blocks. Raises `CannotReload` with the first faults."""
        try:
            loaded = self._load(self._files.settled())
            if loaded.spec is None:
                raise CannotReload(told(loaded.errors))
            return self._laid_over(loaded.spec)
        except click.ClickException as error:
            raise CannotReload(error.format_message()) from error

    @property
    def changes(self) -> Callable[[], AsyncIterator[None]] | None:
        """As `Files.changes`; None when all came over standard input."""
        return self._files.changes if self._files.restless else None

    def _load(self, sources: Sequence[Source]) -> Loaded:
        return load(sources, environment=environment(self._env_file), kinds=self._kinds)


def told(errors: Sequence[Fault]) -> str:
    """The first errors, and how many there are besides."""
    more = len(errors) - SHOWN_FAULTS
    lines = render(list(errors[:SHOWN_FAULTS]))
    return lines if more <= 0 else f"{lines}\nand {more} more: mesh-gateway lint shows all"
