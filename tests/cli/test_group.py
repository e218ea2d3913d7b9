"""The verbs as a whole: found, described, completed, and imported only when they are used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any

import click
import pytest

from mesh_gateway import __version__
from mesh_gateway.cli.group import VERBS, cli
from mesh_gateway.transport import plugins as loader
from mesh_gateway.transport.hooks import GROUP, TransportKind, hookimpl

HEAVY = {
    "rich",
    "starlette",
    "uvicorn",
    "pydantic",
    "apsw",
    "yaml",
    "msgspec",
    "structlog",
    "asyncio",
    "pluggy",
}


def imported_after(code: str, **environment: str) -> set[str]:
    """The top-level modules that a fresh process has imported after running `code`."""
    whole = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", whole],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return set(json.loads(done.stderr))


def test_help_imports_no_verb_and_nothing_heavy():
    modules = imported_after(
        "from mesh_gateway.cli import main\nsys.argv = ['mesh-gateway', '--help']\n"
        "try: main()\nexcept SystemExit: pass"
    )

    assert not HEAVY & modules
    assert not {f"mesh_gateway.cli.{verb}" for verb in VERBS} & modules


def test_completing_a_verb_imports_no_verb():
    modules = imported_after(
        "from mesh_gateway.cli import main\nsys.argv = ['mesh-gateway']\n"
        "try: main('mesh-gateway')\nexcept SystemExit: pass",
        _MESH_GATEWAY_COMPLETE="bash_complete", COMP_WORDS="mesh-gateway st", COMP_CWORD="1",
    )  # fmt: skip

    assert "mesh_gateway.cli.group" in modules
    assert not {f"mesh_gateway.cli.{verb}" for verb in VERBS} & modules


def test_a_verb_that_prints_to_a_pipe_does_not_import_rich():
    modules = imported_after(
        "from mesh_gateway.cli import main\nsys.argv = ['mesh-gateway', 'list', 'transports']\n"
        "try: main()\nexcept SystemExit: pass"
    )

    assert "mesh_gateway.cli.list" in modules
    assert "rich" not in modules


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_there_and_says_the_same_as_the_overview(verb: str):
    command = cli.get_command(click.Context(cli), verb)

    assert command is not None
    assert command.name == verb
    assert (command.help or "").partition("\n")[0] == VERBS[verb]


def test_the_overview_lists_every_verb(run):
    shown = run("--help").stdout

    assert all(f"  {verb} " in shown and summary in shown for verb, summary in VERBS.items())


def test_an_unknown_verb_gets_a_suggestion(run):
    result = run("staus")

    assert result.exit_code == 2
    assert "'staus'" in result.stderr
    assert "Did you mean 'status'?" in result.stderr


def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "mesh_gateway", "--version"], capture_output=True, text=True, check=True
    )

    assert done.stdout == f"mesh-gateway {__version__}\n"


def with_plugin(monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    """Let plugin loading find one entry point, whose module is `module` (an exception is raised)."""

    class Found(EntryPoint):
        def load(self) -> Any:
            if isinstance(module, Exception):
                raise module
            return module

    original = loader.load_plugins
    found = [Found("mine", "mine", GROUP)]
    monkeypatch.setattr(loader, "load_plugins", lambda: original(found, {}))


def test_a_plugin_brings_a_verb(run, monkeypatch: pytest.MonkeyPatch):
    @hookimpl
    def mesh_commands(cli: click.Group) -> None:
        cli.command("greet")(lambda: click.echo("hello from a plugin"))

    with_plugin(monkeypatch, SimpleNamespace(mesh_commands=mesh_commands))
    try:
        result = run("greet")
    finally:
        cli.commands.pop("greet", None)

    assert result.stdout == "hello from a plugin\n"


def test_an_unknown_verb_names_the_plugin_that_might_have_brought_it(run, monkeypatch: pytest.MonkeyPatch):
    with_plugin(monkeypatch, ImportError("no module named nats"))

    result = run("greet")

    assert result.exit_code == 2
    assert "Plugin mine could not be loaded: ImportError: no module named nats" in result.stderr


def test_a_plugin_that_fails_while_adding_commands_is_no_traceback(run, monkeypatch: pytest.MonkeyPatch):
    @hookimpl
    def mesh_commands(cli: click.Group) -> None:
        raise ZeroDivisionError("a plugin's mistake")

    with_plugin(monkeypatch, SimpleNamespace(mesh_commands=mesh_commands))

    result = run("greet")

    assert result.exit_code == 1
    assert "ZeroDivisionError: a plugin's mistake" in result.stderr


def test_plugins_check_fails_for_a_plugin_that_cannot_be_loaded(run, monkeypatch: pytest.MonkeyPatch):
    with_plugin(monkeypatch, ImportError("no module named nats"))

    assert run("plugins").exit_code == 0
    result = run("plugins", "check")

    assert result.exit_code == 1
    assert "ImportError: no module named nats" in result.stdout


def test_plugins_check_imports_what_plugins_name(run, monkeypatch: pytest.MonkeyPatch):
    @hookimpl
    def mesh_transports() -> list[TransportKind]:
        return [
            TransportKind(
                "nats", "no_such.module:Nats", "no_such.module:Options", install_hint="pip install x"
            )
        ]

    with_plugin(monkeypatch, SimpleNamespace(mesh_transports=mesh_transports))

    assert "failed" not in run("plugins", "list").stdout
    result = run("plugins", "check", "-o", "json")

    report = next(one for one in json.loads(result.stdout) if one["name"] == "mine")
    assert (result.exit_code, report["status"]) == (1, "failed")
    assert "no_such" in report["detail"]
    assert "pip install x" in report["detail"]


def test_describe_of_a_transport_that_cannot_be_imported_says_what_to_do(
    run, monkeypatch: pytest.MonkeyPatch
):
    @hookimpl
    def mesh_transports() -> list[TransportKind]:
        return [
            TransportKind(
                "nats", "no_such.module:Nats", "no_such.module:Options", install_hint="pip install x"
            )
        ]

    with_plugin(monkeypatch, SimpleNamespace(mesh_transports=mesh_transports))

    result = run("describe", "transport", "nats")

    assert result.exit_code == 1
    assert "pip install x" in result.stderr


def test_a_broken_plugin_does_not_stop_a_built_in_verb(run, monkeypatch: pytest.MonkeyPatch):
    with_plugin(monkeypatch, ImportError("broken"))

    assert run("list", "transports").exit_code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_serves_both_names_of_the_command(run, shell: str):
    script = run("completion", shell).stdout

    assert "_MESH_GATEWAY_COMPLETE" in script
    assert "_MGW_COMPLETE" in script


def test_completion_completes_verbs_and_options(run):
    def complete(words: str, at: int) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "mesh_gateway"], capture_output=True, text=True, check=True,
            env=os.environ | {"_MESH_GATEWAY_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)},
        )  # fmt: skip
        return done.stdout

    assert complete("mesh-gateway des", 1) == "plain,describe\n"
    assert "plain,redrive" in complete("mesh-gateway dlq re", 2)
    assert "--wait" in complete("mesh-gateway send --w", 2)


def test_version_for_programs(run):
    assert json.loads(run("version", "-o", "json").stdout)["version"] == __version__


def test_help_explains_an_error_code(run):
    result = run("help", "mg011")

    assert result.exit_code == 0
    assert "MG011 (error)" in result.stdout
    assert "unknown" in result.stdout


def test_help_for_a_code_that_is_gone_says_so(run):
    shown = run("help", "MG204").stdout

    assert shown.startswith("MG204: relays are not served by this version")
    assert "Not reported any more" in shown


def test_help_for_an_unknown_code_names_close_ones(run):
    result = run("help", "MG0111")

    assert result.exit_code == 2
    assert "MG011" in result.stderr.replace("MG0111", "")


def test_help_for_a_verb_is_the_verbs_help(run):
    assert run("help", "dlq", "redrive").stdout == run("dlq", "redrive", "--help").stdout


def test_help_alone_is_the_overview(run):
    assert run("help").stdout == run("--help").stdout
