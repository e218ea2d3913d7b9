"""File descriptors: as many as the system grants, and never all of them for producers."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from mesh_gateway.gateway import descriptors
from mesh_gateway.gateway.descriptors import within
from mesh_gateway.gateway.documents import Documents, within_limits
from mesh_gateway.topology.spec import GatewaySpec, IngressSpec


def test_a_process_that_starts_with_few_takes_what_it_is_granted() -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1024))\n"
        "from mesh_gateway.gateway.descriptors import raise_limit; print(raise_limit())\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert said.split("\n")[:2] == ["1024", "(1024, 1024)"]


def test_a_quarter_of_the_descriptors_is_never_a_producers() -> None:
    spec = replace(GatewaySpec(), ingress=IngressSpec(max_connections=10_000))

    assert within(spec, 1_024).ingress.max_connections == 768
    assert within(spec, 65_536) is spec


def test_a_reload_that_wants_more_connections_gets_as_many_as_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(descriptors, "raise_limit", lambda: 1_024)
    few, many = (replace(GatewaySpec(), ingress=IngressSpec(max_connections=n)) for n in (500, 10_000))

    documents = within_limits(Documents(few, load=lambda: many))

    assert documents.spec is few
    assert documents.load().ingress.max_connections == 768
    assert "connections=768" in capsys.readouterr().out
