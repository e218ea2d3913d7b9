"""Every example is run; a page that nobody runs is a page that lies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def test_the_hello_example_ends_as_its_page_says():
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "01-hello" / "demo.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything ended where it should" in done.stdout


WITHOUT_PLUGINS_OF_THEIR_OWN = sorted(
    folder.name
    for folder in EXAMPLES.iterdir()
    if folder.is_dir() and not list(folder.glob("mesh-gateway-*"))
)


@pytest.mark.parametrize("example", WITHOUT_PLUGINS_OF_THEIR_OWN)
def test_the_documents_of_every_example_have_no_fault(example):
    done = subprocess.run(
        [sys.executable, "-m", "mesh_gateway", "lint", "--strict", "-f", str(EXAMPLES / example / "mesh.yaml")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert (EXAMPLES / example / "README.md").exists()
