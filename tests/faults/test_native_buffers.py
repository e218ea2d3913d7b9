"""No native part reads or writes beside its buffers, whatever the bytes, or does what C leaves undefined.

It is built with sanitizers, which end the process at the first such thing, and given mutants.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.faults.scale import thorough

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "native" / "mesh_gateway_native"
COUNT = 30_000
"""Mutants: some ten seconds, of which Python takes nine; the first thousand find what the code has been broken for."""

cc = shutil.which(os.environ.get("CC", "cc"))


def run(command: list[str], environment: dict[str, str], folder: Path = ROOT) -> str:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, its parts compiled so that a byte beside a buffer ends the process."""
    if cc is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("sanitized")
    package = folder / "mesh_gateway_native"
    shutil.copytree(SOURCES, package)
    for source in sorted(package.glob("*.pyx")):
        run([sys.executable, "-m", "cython", "-3", str(source)], {})
        flags = [
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=undefined",
            "-g",
            "-O1",
            "-shared",
            "-fPIC",
        ]
        include = f"-I{sysconfig.get_path('include')}"
        made = source.with_suffix(sysconfig.get_config_var("EXT_SUFFIX"))
        run([cc, *flags, include, str(source.with_suffix(".c")), "-o", str(made)], {})
    return folder


@thorough
def test_no_native_part_touches_a_byte_that_is_not_its_own(sanitized: Path):
    assert cc is not None
    library = run([cc, "-print-file-name=libasan.so"], {}).strip()
    if not Path(library).is_absolute():
        pytest.skip("the C compiler comes without the address sanitizer's library")
    environment = {
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0",  # Python itself lets go of nothing at its end
        "PYTHONMALLOC": "malloc",  # so that each object is a block of its own, with guards around it
        "PYTHONPATH": f"{sanitized}:{ROOT}",
    }

    said = run([sys.executable, "-m", "tests.native.fuzz", "1", str(COUNT)], environment)

    assert said.startswith(str(sanitized))
