"""A gateway, a producer and a look at it, all by their command lines and as processes of their own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_dev_takes_an_event_shows_it_and_stops_in_order(run):
    command = [
        sys.executable, "-m", "mesh_gateway", "dev", "--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            ready = process.stderr.readline()
            found = re.match(r"ready · ingress (\S+) · admin (\S+) · state: memory", ready)
            assert found, ready
            sent = run(
                "send", "--type", "hello", "--field", "name=Ada", "--id", "1", "--to", found[1], "--admin", found[2],
                "--wait",
            )  # fmt: skip
            status = json.loads(run("status", "--admin", found[2], "-o", "json").stdout)
            letters = json.loads(run("dlq", "list", "--admin", found[2], "-o", "json").stdout)
            healthy = run("healthcheck", "--ready", "--admin", found[2])
            process.send_signal(signal.SIGTERM)
            shown, _ = process.communicate(timeout=15)
        finally:
            process.kill()

    assert re.fullmatch(r"202 id=1 · matched 1: display 202 in \d+ ms\n", sent.stdout), sent.output
    assert sent.exit_code == 0
    assert '{"name": "Ada"}' in shown
    assert status["triggers"][0]["delivered"] == 1
    assert letters == []
    assert healthy.exit_code == 0
    assert process.returncode == 0


def test_the_page_of_commands_is_up_to_date():
    script = ROOT / "scripts" / "cli_reference.py"

    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
