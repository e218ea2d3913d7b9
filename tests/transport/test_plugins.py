"""Plugins are found, checked and isolated: a broken one is a report, never a crash."""

from __future__ import annotations

import sys
import types
from importlib.metadata import EntryPoint

import pytest

from mesh_gateway.errors import UnknownKind
from mesh_gateway.transport.hooks import GROUP, TransportKind, hookimpl
from mesh_gateway.transport.plugins import ALLOWED, import_string, load_plugins


def module(name: str, **contents: object) -> EntryPoint:
    """An entry point that loads a module made here."""
    made = types.ModuleType(name)
    made.__dict__.update(contents)
    sys.modules[name] = made
    return EntryPoint(name.removeprefix("fake_"), name, GROUP)


def transports(*kinds: TransportKind):
    @hookimpl
    def mesh_transports():
        return list(kinds)

    return mesh_transports


def kind(name: str, api: int = 1) -> TransportKind:
    return TransportKind(name=name, load="nowhere:Nothing", options="nowhere:Options", api=api)


def report(plugins, name):
    return next(r for r in plugins.reports if r.name == name)


def test_the_embedded_transport_comes_through_the_same_door():
    plugins = load_plugins([])

    assert "embedded" in plugins.transports
    assert report(plugins, "built-in").status == "ok"


def test_a_plugin_brings_its_transports():
    plugins = load_plugins([module("fake_nats", mesh_transports=transports(kind("nats")))])

    assert "nats" in plugins.transports
    assert report(plugins, "nats").transports == ("nats",)


def test_a_plugin_that_cannot_be_imported_is_reported_and_hurts_nobody():
    broken = EntryPoint("broken", "no_such_module_anywhere", GROUP)
    plugins = load_plugins([broken, module("fake_good", mesh_transports=transports(kind("good")))])

    assert report(plugins, "broken").status == "failed"
    assert "no_such_module_anywhere" in plugins.failed["broken"]
    assert "good" in plugins.transports


def test_a_plugin_whose_hook_raises_is_reported():
    @hookimpl
    def mesh_transports():
        raise RuntimeError("boom")

    plugins = load_plugins([module("fake_raising", mesh_transports=mesh_transports)])

    assert report(plugins, "raising").detail == "RuntimeError: boom"


def test_a_misspelt_hook_is_named_with_a_suggestion():
    @hookimpl
    def mesh_transport():
        return []

    plugins = load_plugins([module("fake_misspelt", mesh_transport=mesh_transport)])

    assert "did you mean 'mesh_transports'?" in report(plugins, "misspelt").detail


def test_a_plugin_for_another_api_is_incompatible():
    plugins = load_plugins([module("fake_old", mesh_transports=transports(kind("old", api=0)))])

    assert report(plugins, "old").status == "incompatible"
    assert "old" not in plugins.transports


def test_two_plugins_cannot_bring_the_same_kind():
    plugins = load_plugins(
        [
            module("fake_a", mesh_transports=transports(kind("same"))),
            module("fake_b", mesh_transports=transports(kind("same"))),
        ]
    )

    assert report(plugins, "a").status == "ok"
    assert report(plugins, "b").status == "failed"


def test_the_environment_can_allow_only_some():
    entry = module("fake_unwanted", mesh_transports=transports(kind("unwanted")))
    plugins = load_plugins([entry], {ALLOWED: ""})

    assert report(plugins, "unwanted").status == "disabled"
    assert "unwanted" not in plugins.transports


@pytest.mark.parametrize("path", ["no_such_module_x:Thing", "mesh_gateway.errors:NoSuchThing"])
def test_an_import_string_that_leads_nowhere_says_so(path):
    with pytest.raises(UnknownKind, match="cannot import"):
        import_string(path)
