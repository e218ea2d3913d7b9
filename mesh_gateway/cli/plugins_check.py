"""`plugins check`: whether plugins can be imported, and whether a transport keeps the contract."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from mesh_gateway.cli import options
from mesh_gateway.cli.exits import BadConfiguration, CheckFailed, Exit
from mesh_gateway.cli.output import document, duration, notice, table
from mesh_gateway.cli.plugins import reports, write
from mesh_gateway.errors import PluginError

if TYPE_CHECKING:
    from mesh_gateway.transport.plugins import Plugins

TESTS = "mesh_gateway.testing.check"

SETTINGS = """\
[pytest]
addopts = --import-mode=importlib -p anyio -p mesh_gateway.testing.plugin -p no:cacheprovider
"""
"""Of the run, instead of those of the folder that the command happens to be called in."""


@click.command("check")
@click.argument("kind", metavar="[KIND]", required=False)
@click.option(
    "--options", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
    help="YAML file with what would stand under Transport.spec.options.",
)  # fmt: skip
@options.data_output()
def command(kind: str | None, file: Path | None, form: str) -> None:
    """Import what the plugins bring; with KIND, run the conformance kit against that kind of transport.

    The kit makes channels of random names in the namespace `kit` and leaves them behind: give it a server
    that may be written to. It needs pytest. The level is `experimental` when a test fails, `conformant`
    when all pass that options alone allow, and `certified` when the plugin's own conformance test names a
    proxy, restarts and denials as well (pytest --mesh-report FILE). Exits with 1 if anything fails.
    """
    from mesh_gateway.transport.plugins import load_plugins

    plugins = load_plugins()
    if kind is None:
        if file is not None:
            raise click.UsageError("--options is for one kind of transport: name it")
        check_imports(plugins, form)
        return
    result = conformance(kind, given(plugins, kind, file))
    if form == "table":
        draw(result)
    else:
        document(result, form)
    if result["level"] == "experimental":
        raise SystemExit(Exit.CHECK_FAILED)


def check_imports(plugins: Plugins, form: str) -> None:
    """Print the plugins, each imported; exits with 1 if one cannot be used."""
    found = reports(plugins, missing(plugins))
    write(found, form)
    if any(one["status"] in ("failed", "incompatible") for one in found):
        raise SystemExit(Exit.CHECK_FAILED)


def missing(plugins: Plugins) -> dict[str, str]:
    """Kind of transport -> why its modules cannot be imported."""
    from mesh_gateway.transport.plugins import import_string

    wrong: dict[str, str] = {}
    for name, kind in plugins.transports.items():
        try:
            for path in (kind.load, kind.options):
                import_string(path)
        except PluginError as error:
            wrong[name] = f"{error}" + (f"; {kind.install_hint}" if kind.install_hint else "")
    return wrong


def given(plugins: Plugins, name: str, file: Path | None) -> dict[str, Any]:
    """The options in the file, which the kind's model accepts."""
    import yaml
    from pydantic import ValidationError

    from mesh_gateway.transport.plugins import import_string

    if name not in plugins.transports:
        known = ", ".join(sorted(plugins.transports))
        raise click.UsageError(f"no plugin brings a transport {name!r}; there are {known}")
    try:
        values = {} if file is None else yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise BadConfiguration(f"{file} cannot be read: {error}") from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise BadConfiguration(f"{file} is not a mapping of options to values")
    kind = plugins.transports[name]
    try:
        import_string(kind.load)
        import_string(kind.options).model_validate(values)
    except PluginError as error:
        raise CheckFailed(str(error)) from error
    except ValidationError as error:
        faults = "\n".join(
            f"  {'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)
        )
        raise BadConfiguration(f"the options of {name} are wrong:\n{faults}") from error
    return values


def conformance(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """Run the kit in a process of its own; gives its report of this kind."""
    absent = [name for name in ("pytest", "anyio") if not find_spec(name)]
    if absent:
        raise CheckFailed(f"the kit needs {' and '.join(absent)}: pip install {' '.join(absent)}")
    with TemporaryDirectory() as folder:
        settings, report = Path(folder, "pytest.ini"), Path(folder, "report.json")
        settings.write_text(SETTINGS, encoding="utf-8")
        notice(f"running the kit against {kind}; this takes from seconds to minutes")
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-c", settings, "--rootdir", folder,
             f"--basetemp={folder}/state", f"--mesh-report={report}", "--pyargs", TESTS],
            env={
                **os.environ,
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTEST_ADDOPTS": "",
                "MESH_CHECK_KIND": kind,
                "MESH_CHECK_OPTIONS": json.dumps(values, default=str),
            },
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        suites = json.loads(report.read_text(encoding="utf-8"))["suites"] if report.exists() else []
    if not suites:
        raise CheckFailed(f"the kit did not run:\n{run.stdout}{run.stderr}")
    return {**suites[0], "name": kind}


def draw(result: dict[str, Any]) -> None:
    """Print a report for a person."""
    table(
        ("test", "outcome", "seconds", "detail"),
        [
            (one["test"], one["outcome"], duration(one["seconds"]), first_line(one["detail"]))
            for one in result["tests"]
        ],
    )
    click.echo()
    table(("capability", "value"), [(name, words(value)) for name, value in result["capabilities"].items()])
    click.echo()
    for note in result["notes"]:
        click.echo(f"note: {note}")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in result["counts"].items() if count)
    click.echo(f"{result['name']}: {result['level']} ({counts})")
    if result["level"] == "conformant":
        click.echo("For `certified` run the plugin's own conformance test with --mesh-report FILE.")


def first_line(text: str) -> str | None:
    """Enough of a failure for a table."""
    return text.partition("\n")[0] or None


def words(value: Any) -> Any:
    """A capability for a person."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (", ".join(value) or None) if isinstance(value, list) else value
