"""The pages of the project say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mesh_gateway.topology.faults import CODES, RETIRED
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.load import Loaded, Source, load
from mesh_gateway.transport.plugins import load_plugins
from tests.topology.harness import OF_WORKERS

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "errors"
ENVIRONMENT = {"MESH_ADMIN_TOKEN": "x", "MESH_EU": "eu", "MESH_US": "us"}
"""What the examples of the pages take from outside."""


def example(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def read(text: str) -> Loaded:
    return load([Source("mesh.yaml", text)], environment=ENVIRONMENT, kinds=Kinds.of(load_plugins()))


def test_every_code_has_a_page_and_every_page_a_code():
    assert sorted(page.stem for page in PAGES.glob("MG*.md")) == sorted([*CODES, *RETIRED])


@pytest.mark.parametrize("code", RETIRED)
def test_a_code_that_is_gone_is_never_used_again_and_its_page_says_since_when(code: str):
    page = (PAGES / f"{code}.md").read_text(encoding="utf-8")

    assert code not in CODES
    assert page.startswith(f"# {code} — {RETIRED[code]}\n")
    assert re.search(r"Not reported any more since \S+", page)


@pytest.mark.parametrize("code", CODES)
def test_a_page_says_what_why_how_to_mend_it_and_shows_it(code: str):
    page = (PAGES / f"{code}.md").read_text(encoding="utf-8")

    assert page.startswith(f"# {code} — {CODES[code].title}\n")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == ["What", "Why", "Fix", "Example"]


@pytest.mark.parametrize("code", [code for code in CODES if code not in ("MG001", *OF_WORKERS)])
def test_the_example_of_a_page_says_what_the_page_says_and_the_mended_one_does_not(code: str):
    page = (PAGES / f"{code}.md").read_text(encoding="utf-8")
    broken, mended = example(page, "yaml")

    assert (
        "".join(f"{fault}\n" for fault in read(broken).faults if fault.code == code)
        == example(page, "text")[0]
    )
    assert code not in [fault.code for fault in read(mended).faults]


def test_the_generated_pages_are_up_to_date():
    run = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
