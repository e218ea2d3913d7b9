"""Whether native parts are used is decided once, said aloud, and never a reason not to start."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from mesh_gateway import native

needed = pytest.mark.skipif(native.PARTS.version is None, reason=str(native.PARTS))


buildable = (
    shutil.which(os.environ.get("CC", "cc")) and Path(sysconfig.get_path("include"), "Python.h").exists()
)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a wheel of this name looks installed, whatever else is."""
    for name in ("mesh_gateway_native", "mesh_gateway_native.requests", "mesh_gateway_native.deliveries"):
        monkeypatch.setitem(sys.modules, name, sys)  # so that what is there at the end is taken away
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "mesh_gateway_native"
    package.mkdir()
    (package / "__init__.py").write_text(f'__version__ = "9.9"\nINTERFACE = {native.INTERFACE}\n')
    (package / "requests.py").write_text("def plain_head(*_): ...\n")
    (package / "deliveries.py").write_text("def binary_request(*_): ...\n")
    return package


@pytest.mark.skipif(
    not (buildable and os.environ.get("MESH_REQUIRE_SERVICES")),
    reason="told in CI, where there is a C compiler and Python's headers",
)
def test_where_they_can_be_built_ci_has_them():
    parts = native.chosen({})

    assert parts.version is not None, parts
    assert parts.compiled, parts


@needed
def test_they_are_used_where_they_are_installed():
    parts = native.chosen({})

    assert None not in (parts.plain_head, parts.binary_request)
    assert str(parts) == f"native parts {parts.version}"


def test_the_environment_turns_them_off():
    parts = native.chosen({"MESH_NATIVE": "off"})

    assert parts == native.Parts(why_not="MESH_NATIVE=off")
    assert str(parts) == "no native parts: MESH_NATIVE=off"


def test_without_the_wheel_everything_is_python(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mesh_gateway_native", None)

    assert native.chosen({}) == native.Parts(why_not="mesh-gateway-native is not installed")


def test_a_wheel_is_used_only_for_the_interface_that_it_was_made_for(
    fake: Path, monkeypatch: pytest.MonkeyPatch
):
    assert native.chosen({}).version == "9.9"

    monkeypatch.setattr(sys.modules["mesh_gateway_native"], "INTERFACE", native.INTERFACE + 1)
    assert native.chosen({}) == native.Parts(why_not="mesh-gateway-native 9.9 is for another mesh-gateway")


def test_a_wheel_that_cannot_be_loaded_is_told_and_not_used(fake: Path):
    (fake / "requests.py").write_text('raise ImportError("undefined symbol: PyNobody")')

    parts = native.chosen({})
    assert parts == native.Parts(why_not="mesh-gateway-native cannot be loaded: undefined symbol: PyNobody")


def test_a_wheel_from_before_a_part_has_the_others(fake: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mesh_gateway_native.records", None)
    parts = native.chosen({})

    assert parts.plain_head is not None
    assert parts.usual_records is None


@pytest.mark.parametrize("switch", ["on", "off"])
def test_version_says_which(switch: str):
    done = subprocess.run(
        [sys.executable, "-m", "mesh_gateway", "version", "-o", "json"],
        env=os.environ | {"MESH_NATIVE": switch}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert json.loads(done.stdout)["native"] == (None if switch == "off" else native.chosen({}).version)
