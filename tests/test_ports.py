"""A gateway that ended must find its port again: no client may have taken it meanwhile."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mesh_gateway.testing import ports
from mesh_gateway.testing.ports import free_ports

OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.mark.skipif(not OUTGOING.exists(), reason="only Linux tells from where it takes ports for clients")
def test_no_outgoing_connection_of_this_machine_is_given_a_port_that_a_test_listens_on():
    lowest, highest = map(int, OUTGOING.read_text(encoding="ascii").split())

    assert not set(free_ports(50)) & set(range(lowest, highest + 1))


def test_ports_asked_for_together_are_different_and_one_that_is_taken_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_ports(1)[0]))
        mine = taken.getsockname()[1]
        monkeypatch.setattr(ports, "BELOW_OUTGOING", range(mine, mine + 20))
        monkeypatch.setattr(ports, "TRIES", 20)

        found = free_ports(3)

        assert len(set(found)) == 3
        assert mine not in found


def test_too_few_free_ports_are_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ports, "BELOW_OUTGOING", range(27_000, 27_002))
    monkeypatch.setattr(ports, "TRIES", 2)

    with pytest.raises(OSError, match="fewer than 3 of the ports 27000 to 27001 are free"):
        free_ports(3)


ANOTHER = """
import sys
from mesh_gateway.testing import ports
ports.BELOW_OUTGOING, ports.TRIES = range(int(sys.argv[1]), int(sys.argv[1]) + 1), 1
print(ports.free_port())
"""


def test_a_port_is_given_once_also_when_nobody_listens_on_it_yet_and_another_process_asks(
    monkeypatch: pytest.MonkeyPatch,
):
    mine = free_ports(1)[0]
    monkeypatch.setattr(ports, "BELOW_OUTGOING", range(mine, mine + 1))
    monkeypatch.setattr(ports, "TRIES", 1)

    with pytest.raises(OSError, match="fewer than 1 of the ports"):
        free_ports(1)
    another = subprocess.run(
        [sys.executable, "-c", ANOTHER, str(mine)], capture_output=True, text=True, check=False, timeout=60
    )
    assert "fewer than 1 of the ports" in another.stderr
