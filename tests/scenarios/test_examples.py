"""Every example is run; a page that nobody runs is a page that lies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.servers import required

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


TWO_GATEWAYS = EXAMPLES / "05-two-gateways" / "demo.py"


@pytest.mark.slow
@pytest.mark.servers
def test_the_two_gateways_end_as_their_page_says():
    required("MESH_TEST_RABBITMQ", "MESH_TEST_KAFKA")

    done = subprocess.run(
        [sys.executable, str(TWO_GATEWAYS)], capture_output=True, text=True, timeout=180, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything ended where it should" in done.stdout


def test_the_two_gateways_say_what_to_do_when_there_are_no_servers():
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MESH_", "TWO_"))
    }

    done = subprocess.run(
        [sys.executable, str(TWO_GATEWAYS)],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "scripts/services up rabbitmq kafka" in done.stderr


WITHOUT_PLUGINS_OF_THEIR_OWN = sorted(
    str(file.relative_to(EXAMPLES))
    for file in EXAMPLES.glob("*/*.yaml")
    if file.name != "compose.yaml" and not list(file.parent.glob("mesh-gateway-*"))
)

TOKENS = {"EU_TOKEN": "the-token-of-eu", "US_TOKEN": "the-token-of-us"}


@pytest.mark.parametrize("documents", WITHOUT_PLUGINS_OF_THEIR_OWN)
def test_the_documents_of_every_example_have_no_fault(documents):
    done = subprocess.run(
        [sys.executable, "-m", "mesh_gateway", "lint", "--strict", "-f", str(EXAMPLES / documents)],
        env={**os.environ, **TOKENS}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert (EXAMPLES / documents).with_name("README.md").exists()
