"""Builds the parts written in Cython, and the modules of the data path as mypyc compiles them (`compiled.txt` names those).

Their sources are the gateway's and its plugins' own, from the checkout that this directory lies in. What the wheel holds of each is a
library, and beside them the digests of all sources that they know types of: `mesh_gateway.compiled` uses them beside those only.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from mypyc.build import mypycify
from setuptools import Extension, setup

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PACKAGE = "mesh_gateway_native"
GATEWAY = "mesh_gateway"
PLUGINS = {f"mesh_gateway_{name}": ROOT / "plugins" / name for name in ("kafka", "rabbitmq", "sqs")}
HOMES = {GATEWAY: ROOT, **PLUGINS}
"""Where the package lies that a module belongs to."""

FLOORS = (HERE / "floors.txt").read_text().split()
"""Folders of the gateway: what its compiled modules import lies in these and in the modules below."""

IMPORTED = ("attributes.py", "errors.py", "event.py", "native.py", *(f"{floor}/**/*.py" for floor in FLOORS))

NAMES = (HERE / "compiled.txt").read_text().split()
SOURCES = {
    name: HOMES[name.partition(".")[0]].joinpath(*name.split(".")).with_suffix(".py") for name in NAMES
}


def cython(name: str, *shared: str) -> Extension:
    """A part in Cython, and the declarations that it shares with others."""
    depends = [f"{PACKAGE}/{one}.pxd" for one in shared]
    return Extension(f"{PACKAGE}.{name}", [f"{PACKAGE}/{name}.pyx"], depends=depends)


def compiled() -> list[Extension]:
    """The modules, each for its place under `mesh_gateway_native/compiled`."""
    # What a module imports from outside need not be there: it is called through Python's own interface in any case.
    flags = ["--config-file=", "--ignore-missing-imports", "--explicit-package-bases"]
    paths = [os.path.relpath(path, HERE) for path in SOURCES.values()]
    extensions = mypycify([*flags, *paths], opt_level="2", debug_level="0", group_name=f"{PACKAGE}.datapath")
    for extension in extensions:
        if extension.name in SOURCES:
            extension.name = f"{PACKAGE}.compiled.{extension.name}"
    return extensions


def made_of(package: str) -> dict[str, object]:
    """The libraries of a package, and what they were made of and with."""
    folder = HOMES[package] / package
    files = [
        file for glob in (IMPORTED if package == GATEWAY else ["*.py"]) for file in sorted(folder.glob(glob))
    ]
    return {
        "libraries": [name for name in NAMES if name.startswith(f"{package}.")],
        "sources": {
            str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files
        },
    }


def write_contents() -> None:
    """Beside the libraries: which there are, and for which sources."""
    folder = HERE / PACKAGE / "compiled"
    folder.mkdir(exist_ok=True)
    contents = {package: made_of(package) for package in HOMES}
    (folder / "contents.json").write_text(json.dumps(contents, indent=1))


os.chdir(HERE)
os.environ["MYPYPATH"] = os.pathsep.join(map(str, HOMES.values()))
write_contents()
setup(
    ext_modules=[
        cython("attributes", "text"),
        cython("deliveries", "text"),
        cython("records", "attributes", "text"),
        cython("requests", "attributes", "text"),
        *compiled(),
    ]
)
