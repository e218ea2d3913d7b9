"""The pages about deploying say what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.deploy.compose import ROOT

PAGES = [
    ROOT / "docs/operations/deploy.md",
    ROOT / "docs/operations/beside.md",
    ROOT / "examples/04-bridge/README.md",
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_the_page_leads_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_every_variable_of_the_compose_file_is_explained_and_no_other():
    used = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
    page = (ROOT / "docs/operations/deploy.md").read_text()
    [table] = re.findall(r"^### What may be set\n(.*?)^[^|\n]", page, flags=re.MULTILINE | re.DOTALL)
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"[A-Z_]+", row)} == used
