"""What an engine would make of docker-compose.yml and the Dockerfile, so that both are tested without one."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mesh_gateway.cli.group import cli

ROOT = Path(__file__).parent.parent.parent


def compose(
    environment: Mapping[str, str] | None = None, file: Path = ROOT / "docker-compose.yml"
) -> dict[str, Any]:
    """A compose file with its variables replaced. Raises `KeyError` for one without a value."""
    document = yaml.safe_load(file.read_text())
    found: dict[str, Any] = _filled(document, environment or {})
    return found


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return interpolated(value, environment)
    if isinstance(value, dict):
        return {key: _filled(part, environment) for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, environment) for part in value]
    return value


def interpolated(text: str, environment: Mapping[str, str]) -> str:
    """Compose's `${NAME}`, `${NAME:-default}` (which may hold another one) and `$$`."""
    out, at = [], 0
    while (dollar := text.find("$", at)) >= 0:
        out.append(text[at:dollar])
        if text[dollar + 1 : dollar + 2] == "$":
            out.append("$")
            at = dollar + 2
            continue
        assert text[dollar + 1 : dollar + 2] == "{", f"write $$ or ${{…}}: {text}"
        end = _closing(text, dollar + 2)
        name, operator, default = text[dollar + 2 : end].partition(":-")
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", name), f"{name!r} is no variable: {text}"
        value = environment.get(name)
        out.append(value or (interpolated(default, environment) if operator else environment[name]))
        at = end + 1
    return "".join(out) + text[at:]


def _closing(text: str, at: int) -> int:
    depth = 1
    for index in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    raise AssertionError(f"a brace is not closed: {text}")


@dataclass(slots=True)
class Stage:
    """One stage of the Dockerfile: (instruction, rest of its line), its parents' first."""

    name: str
    lines: list[tuple[str, str]] = field(default_factory=list)

    def last(self, instruction: str) -> str:
        """The rest of the line of the last such instruction: the one that counts."""
        return [rest for word, rest in self.lines if word == instruction][-1]

    def words(self, instruction: str) -> list[str]:
        """The same of one in JSON form; of HEALTHCHECK, its command."""
        rest = self.last(instruction).rpartition("CMD ")[2]
        found: list[str] = json.loads(rest)
        return found

    @property
    def environment(self) -> dict[str, str]:
        pairs = [word for kind, rest in self.lines if kind == "ENV" for word in shlex.split(rest)]
        return dict(pair.split("=", 1) for pair in pairs)


def parsed(words: list[str]) -> None:
    """Raises `click.UsageError` if our command line does not take these words."""
    with cli.make_context("mesh-gateway", list(words)) as context:
        name, command, rest = cli.resolve_command(context, list(words))
        assert command is not None
        command.make_context(name, rest, parent=context)


def stages() -> dict[str, Stage]:
    """The Dockerfile's stages by name; the last one is what `docker build .` makes."""
    found: dict[str, Stage] = {}
    stage: Stage | None = None
    for line in _lines((ROOT / "Dockerfile").read_text()):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            assert name, f"a stage without a name: {line}"
            stage = found[name] = Stage(name, list(found[base].lines) if base in found else [])
        elif stage is not None:
            stage.lines.append((instruction, rest.strip()))
    return found


def _lines(text: str) -> list[str]:
    """Instructions, without comments, one a line."""
    kept = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return "\n".join(kept).replace("\\\n", " ").splitlines()
