"""Compiled modules are used for the sources that they were made from, and for no others."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from mesh_gateway import compiled, native
from mesh_gateway.compiled import CONTENTS, PACKAGE, Finder, Libraries, Unusable, home, libraries

NAMES = (PACKAGE.parent / "native" / "compiled.txt").read_text().split()

needed = pytest.mark.skipif(not native.PARTS.compiled, reason=str(native.PARTS))


LIBRARY = f"mesh_gateway/one{EXTENSION_SUFFIXES[0]}"
OF_PLUGIN = f"mesh_gateway_kafka/one{EXTENSION_SUFFIXES[0]}"


class Packages(dict[str, Path]):
    """Where packages are installed, each with one module that is compiled, and one that it imports."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        for name in ("mesh_gateway", "mesh_gateway_kafka"):
            where = self[name] = folder / name
            where.mkdir()
            (where / "one.py").write_text("ONE = 1\n")
            (where / "two.py").write_text("TWO = 2\n")

    def made(self, name: str) -> dict[str, object]:
        """What a wheel says of a package that it was made from."""
        digests = {
            file: hashlib.sha256((self[name] / file).read_bytes()).hexdigest()
            for file in ("one.py", "two.py")
        }
        return {"libraries": [f"{name}.one"], "sources": digests}


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    return Packages(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, packages: Packages) -> Path:
    """What a wheel holds that was made from them."""
    made = tmp_path / "compiled"
    for library in (LIBRARY, OF_PLUGIN):
        (made / library).parent.mkdir(parents=True)
        (made / library).touch()
    (made / CONTENTS).write_text(json.dumps({name: packages.made(name) for name in packages}))
    return made


def source(name: str) -> ast.Module:
    """The module of this name, read from its source."""
    package, _, module = name.partition(".")
    where = home(package)
    assert where is not None
    return ast.parse(where.joinpath(*module.split(".")).with_suffix(".py").read_text())


def loaded_from(environment: dict[str, str]) -> str:
    """The file of a module of the data path in a process of its own."""
    code = "import mesh_gateway.delivery.trigger as module; print(module.__file__)"
    said = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )  # fmt: skip
    return said.stdout.strip()


@needed
def test_every_module_that_is_named_is_compiled_and_used():
    assert sorted(native.PARTS.compiled) == sorted(NAMES)
    assert all(library.exists() for library in native.PARTS.compiled.values())
    assert loaded_from({}).endswith(EXTENSION_SUFFIXES[0])


def test_the_environment_turns_them_off_with_all_native_parts():
    assert loaded_from({"MESH_NATIVE": "off"}) == str(PACKAGE / "delivery" / "trigger.py")


@needed
def test_libraries_made_from_these_sources_are_found(folder: Path, packages: Packages):
    found = libraries(folder, packages.get)

    assert found.found == {"mesh_gateway.one": folder / LIBRARY, "mesh_gateway_kafka.one": folder / OF_PLUGIN}
    assert not found.left_out


@needed
def test_a_plugin_that_is_not_installed_has_none_and_is_not_missed(folder: Path, packages: Packages):
    del packages["mesh_gateway_kafka"]

    assert libraries(folder, packages.get) == Libraries({"mesh_gateway.one": folder / LIBRARY})


@needed
@pytest.mark.parametrize("name", ["one.py", "two.py"])
def test_a_plugin_whose_source_was_changed_leaves_its_own_unused_and_says_so(
    folder: Path, packages: Packages, name: str
):
    (packages["mesh_gateway_kafka"] / name).write_text("ONE = 3\n")

    found = libraries(folder, packages.get)
    assert found.found == {"mesh_gateway.one": folder / LIBRARY}
    [why] = found.left_out
    assert (
        why == f"of mesh_gateway_kafka: they were made with another {name}: install mesh-gateway-native anew"
    )


@needed
def test_a_plugin_that_was_imported_before_the_gateway_leaves_its_own_unused(
    folder: Path, packages: Packages, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(compiled, "BEFORE", compiled.BEFORE | {"mesh_gateway_kafka.one"})

    found = libraries(folder, packages.get)
    assert found.found == {"mesh_gateway.one": folder / LIBRARY}
    assert found.left_out == [
        "of mesh_gateway_kafka: mesh_gateway_kafka.one was imported before mesh_gateway"
    ]


@pytest.mark.parametrize("name", ["one.py", "two.py"])
@pytest.mark.parametrize("now", ["ONE = 3\n", "ONE = 1\n\n"])
def test_a_source_of_the_gateway_that_was_changed_makes_all_of_them_unused(
    folder: Path, packages: Packages, name: str, now: str
):
    (packages["mesh_gateway"] / name).write_text(now)

    with pytest.raises(
        Unusable, match=f"they were made with another {name}: install mesh-gateway-native anew"
    ):
        libraries(folder, packages.get)


def test_a_source_or_a_library_that_is_missing_makes_all_of_them_unused(folder: Path, packages: Packages):
    (folder / LIBRARY).unlink()
    with pytest.raises(Unusable, match="is missing: install mesh-gateway-native anew"):
        libraries(folder, packages.get)

    (packages["mesh_gateway"] / "two.py").unlink()
    with pytest.raises(Unusable, match=r"two\.py is missing"):
        libraries(folder, packages.get)


@pytest.mark.parametrize(
    "text",
    [
        "", '{"mesh_gateway": {', "[]", "{}", '{"mesh_gateway": []}', '{"mesh_gateway": {"sources": [], "libraries": []}}',
        '{"mesh_gateway": {"sources": {}, "libraries": 1}}', '{"sources": {}, "libraries": []}',
    ],
)  # fmt: skip
def test_contents_that_nobody_wrote_make_all_of_them_unused(folder: Path, packages: Packages, text: str):
    (folder / CONTENTS).write_text(text)

    with pytest.raises(Unusable, match="cannot be read"):
        libraries(folder, packages.get)


def test_what_cannot_be_loaded_at_all_makes_all_of_them_unused(
    folder: Path, packages: Packages, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "mesh_gateway_native.datapath__mypyc", None)

    with pytest.raises(Unusable, match="cannot be read"):
        libraries(folder, packages.get)


def test_a_wheel_without_any_is_as_good_as_before(tmp_path: Path):
    assert libraries(tmp_path / "compiled") == Libraries()


def test_who_asks_is_told_why_they_are_not_used():
    parts = native.Parts(version="9.9", why_not_compiled="a source has changed")

    assert str(parts) == "native parts 9.9 without compiled modules: a source has changed"

    some = native.Parts(
        version="9.9", compiled={"mesh_gateway.one": Path("one.so")}, why_not_compiled="of a plugin: so"
    )
    assert some.used == "9.9 without some compiled modules: of a plugin: so"


def test_the_finder_gives_these_modules_and_leaves_others_alone(folder: Path):
    finder = Finder({"mesh_gateway.one": folder / LIBRARY})

    found = finder.find_spec("mesh_gateway.one", None)
    assert found is not None
    assert found.origin == str(folder / LIBRARY)
    assert finder.find_spec("mesh_gateway.two", None) is None


@pytest.mark.parametrize("name", NAMES)
def test_no_compiled_module_has_a_function_within_a_function(name: str):
    """Those of mypyc hold themselves: each call leaves a cycle, with all that it refers to, until the collector comes by."""
    tree = source(name)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    within = [
        node for outer in functions for node in ast.walk(outer) if node is not outer and node in functions
    ]

    assert [node.name for node in within] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_compiled_module_waits_within_try_or_with(name: str):
    """A coroutine of mypyc that waits there leaves its exception behind as that which the whole thread handles."""
    tree = source(name)
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.Try | ast.TryStar | ast.With)]
    waits = [node for guard in guards for node in ast.walk(guard) if isinstance(node, ast.Await)]

    assert not waits
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncWith | ast.AsyncFor)]
