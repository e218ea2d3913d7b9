"""The pages about deploying, and those of the transports, say what is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from mesh_gateway.transport.builtin import EMBEDDED
from mesh_gateway.transport.hooks import TransportKind
from mesh_gateway.transport.plugins import import_string, load_plugins
from tests.deploy.compose import ROOT

PAGES = [
    ROOT / "docs/operations/deploy.md",
    ROOT / "docs/operations/beside.md",
    ROOT / "docs/operations/relays.md",
    ROOT / "docs/federation.md",
    ROOT / "examples/04-bridge/README.md",
    ROOT / "examples/05-two-gateways/README.md",
    *sorted((ROOT / "docs/transports").glob("*.md")),
    *sorted((ROOT / "plugins").glob("*/README.md")),
]

HEADINGS = [
    "Options", "Mapping", "Delivery semantics", "Ordering", "Permissions", "What we create", "Limits", "Troubleshooting",
]  # fmt: skip
"""What stands on the page of every transport, in this order."""

PLUGINS = ["kafka", "rabbitmq", "sqs"]


def kinds() -> list[TransportKind]:
    return [EMBEDDED, *(load_plugins().transports[name] for name in PLUGINS)]


def page_of(kind: str) -> str:
    return (ROOT / f"docs/transports/{kind}.md").read_text()


def options_of(model: type[BaseModel]) -> Iterator[str]:
    return (field.alias or name for name, field in model.model_fields.items())


each_kind = pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_every_link_of_the_page_leads_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_every_variable_of_the_compose_file_is_explained_and_no_other():
    used = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    page = (ROOT / "docs/operations/deploy.md").read_text()
    [table] = re.findall(r"^### What may be set\n(.*?)^[^|\n]", page, flags=re.MULTILINE | re.DOTALL)
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"[A-Z_]+", row)} == used


@each_kind
def test_the_page_of_a_transport_has_every_chapter_and_something_in_each(kind: TransportKind):
    chapters = re.split(r"^## (.+)$", page_of(kind.name), flags=re.MULTILINE)[1:]

    assert chapters[::2] == HEADINGS
    assert all(text.strip() for text in chapters[1::2])


@each_kind
def test_the_page_of_a_transport_explains_every_option(kind: TransportKind):
    [options] = re.findall(r"^## Options\n(.*?)^## ", page_of(kind.name), flags=re.MULTILINE | re.DOTALL)
    explained = {
        name
        for row in re.findall(r"^\| (`.+?) \|", options, flags=re.MULTILINE)
        for name in re.findall(r"\w+", row)
    }

    assert set(options_of(import_string(kind.options))) == explained


@pytest.mark.parametrize("name", PLUGINS)
def test_the_readme_of_a_plugin_says_what_the_page_of_its_transport_says(name: str):
    def body(text: str) -> str:
        """From the first paragraph that both have on; a link to another page is its words."""
        text = re.sub(r"\[([^\]]+)\]\(\.\./operations/[^)]+\)", r"the page *\1*", text)
        return text[text.index("\nEach Broker is") :]

    assert body((ROOT / f"plugins/{name}/README.md").read_text()) == body(page_of(name))
