"""What was measured, and on what: versions that a figure depends on."""

from __future__ import annotations

import base64
import json
import os
import platform
import re
import shutil
import subprocess
import sysconfig
import urllib.request
from importlib.metadata import version
from pathlib import Path

import apsw

from mesh_gateway import native
from tests.bench.processes import ROOT, server_pid

LIBRARIES = ("uvloop", "httptools", "msgspec", "aiokafka", "pamqp", "botocore")


def line() -> str:
    """One line for a table's head."""
    python = f"CPython {platform.python_version()} ({build()})"
    libraries = [f"{name} {version(name)}" for name in LIBRARIES]
    return ", ".join(
        [
            python,
            str(native.PARTS),
            *libraries,
            f"SQLite {apsw.sqlite_lib_version()}",
            *servers(),
            *go(),
            f"Linux {platform.release().partition('-')[0]}",
            f"{cpu()}, {os.cpu_count()} cores",
        ]
    )


def commit() -> str:
    """Of the working copy, with a plus when it has changes."""
    found = _said("git", "rev-parse", "--short", "HEAD")
    return found and found + ("+" if _said("git", "status", "--porcelain", "--untracked-files=no") else "")


def build() -> str:
    """How the interpreter was compiled: profile-guided optimisation is worth a fifth."""
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return "optimised" if "--enable-optimizations" in options else "without profile-guided optimisation"


def cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def go() -> list[str]:
    return (
        [_said("go", "version").removeprefix("go version ").split()[0].replace("go", "Go ")]
        if shutil.which("go")
        else []
    )


def servers() -> list[str]:
    """Those that `scripts/services` runs, by the folders that their programs lie in; RabbitMQ says it itself."""
    found: list[str] = []
    for kind, name in (("kafka", "Kafka"), ("sqs", "ElasticMQ")):
        pid = server_pid(kind)
        command = "" if pid is None else Path(f"/proc/{pid}/cmdline").read_text()
        if match := re.search(rf"/{name.lower()}-(\d[\d.]*\d)/", command):
            found.append(f"{name} {match[1]}")
    if api := os.environ.get("MESH_TEST_RABBITMQ_API"):
        request = urllib.request.Request(f"{api}/api/overview")
        request.add_header("authorization", "Basic " + base64.b64encode(b"guest:guest").decode())
        with urllib.request.urlopen(request, timeout=10) as response:
            found.append(f"RabbitMQ {json.load(response)['rabbitmq_version']}")
    return found


def _said(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
