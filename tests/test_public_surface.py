"""What others may rely on: it is there, it is described, and it does not change by accident."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import mesh_gateway
from mesh_gateway.transport import contract, hooks

PACKAGES = [
    "mesh_gateway", "mesh_gateway.wire", "mesh_gateway.filters", "mesh_gateway.filters.cesql", "mesh_gateway.transport",
    "mesh_gateway.transport.embedded", "mesh_gateway.delivery", "mesh_gateway.broker", "mesh_gateway.ingress",
    "mesh_gateway.topology", "mesh_gateway.gateway", "mesh_gateway.cli", "mesh_gateway.testing",
]  # fmt: skip

ROOT = Path(mesh_gateway.__file__).parent
MODULES = {
    ".".join(("mesh_gateway", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
    if path.name != "__main__.py"
}


@pytest.mark.parametrize("name", PACKAGES)
def test_every_folder_says_what_it_is_for(name):
    text = importlib.import_module(name).__doc__ or ""

    assert len(text.split()) > 15


@pytest.mark.parametrize(
    "name",
    [p for p in PACKAGES if p not in ("mesh_gateway", "mesh_gateway.filters.cesql", "mesh_gateway.testing")],
)
def test_every_floor_says_what_it_may_import(name):
    assert "May import" in (importlib.import_module(name).__doc__ or "")


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_for(name):
    importlib.import_module(name)
    # A compiled module has none, its source has.
    text = ast.get_docstring(ast.parse(MODULES[name].read_text()))

    assert (text or "").strip(), f"{name} has no docstring"


def test_the_contract_of_a_transport_is_described_word_for_word():
    for protocol in (
        contract.Transport,
        contract.Subscription,
        contract.Browsable,
        contract.Removable,
        contract.Measurable,
    ):
        for name, member in vars(protocol).items():
            if inspect.isfunction(member) and not name.startswith("_"):
                assert member.__doc__, f"{protocol.__name__}.{name}"


def test_the_names_a_plugin_may_implement_and_import_are_these():
    assert {name for name in dir(hooks) if name.startswith("mesh_")} == {
        "mesh_transports", "mesh_filters", "mesh_sinks", "mesh_observers", "mesh_health_checks", "mesh_commands",
    }  # fmt: skip
    assert mesh_gateway.__all__ == ["Event", "__version__"]
    assert contract.TRANSPORT_API == 1


def test_the_version_is_the_distributions():
    from importlib.metadata import version

    assert version("mesh-gateway") == mesh_gateway.__version__
