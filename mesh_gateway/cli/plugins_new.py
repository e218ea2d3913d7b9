"""`plugins new`: a transport's package to begin with, which passes the conformance kit as it is."""

from __future__ import annotations

import re
from pathlib import Path

import click

from mesh_gateway.cli.exits import CheckFailed
from mesh_gateway.cli.files import write
from mesh_gateway.cli.output import notice

SKELETON = Path(__file__).parent / "skeleton"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@click.command("new")
@click.argument("name")
@click.option(
    "--into", "directory", type=click.Path(file_okay=False, path_type=Path), default=".", metavar="DIRECTORY",
    help="Where the package's folder goes; the current directory by default.",
)  # fmt: skip
def command(name: str, directory: Path) -> None:
    """Write a package with a transport of kind NAME, to begin your own with.

    It is whole: an entry point, options, a transport over memory, and a test that runs the conformance kit,
    which passes from the first minute. Then replace memory by your broker.
    """
    from mesh_gateway.transport.plugins import load_plugins

    if not NAME.fullmatch(name):
        raise click.BadParameter(
            f"{name!r} is no name of a kind: lower-case letters and digits, with single hyphens between",
            param_hint="NAME",
        )
    if name in load_plugins().transports:
        raise CheckFailed(f"there is a transport of kind {name} already; mesh-gateway plugins shows whose")
    folder = directory / f"mesh-gateway-{name}"
    if occupied(folder):
        raise CheckFailed(f"{folder} is there already, and not empty; name another with --into")
    write(contents(folder, name))
    notice(f"wrote {folder} · next: cd {folder} && pip install -e . pytest anyio && pytest")


def occupied(folder: Path) -> bool:
    """Whether something is there that is not ours. Raises `CheckFailed` where nobody may look."""
    try:
        return folder.exists() and any(folder.iterdir())
    except OSError as error:
        raise CheckFailed(f"cannot write {error.filename}: {error.strerror}") from error


def contents(folder: Path, name: str) -> dict[Path, str]:
    """The package's files, with their texts."""
    files = [*SKELETON.glob("*/*.py"), *SKELETON.rglob("*.txt")]
    return {
        folder / renamed(str(file.relative_to(SKELETON)).removesuffix(".txt"), name): renamed(
            file.read_text(encoding="utf-8"), name
        )
        for file in sorted(files)
    }


def renamed(text: str, name: str) -> str:
    """The skeleton's name, in each of its three spellings, becomes the author's."""
    words = name.split("-")
    text = text.replace("mesh_example", "_".join(["mesh", *words]))
    text = text.replace("Example", "".join(word.capitalize() for word in words))
    return text.replace("example", name)
