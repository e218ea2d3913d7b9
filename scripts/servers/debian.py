"""Programs out of Debian packages, unpacked into a folder and not installed: no service, no user, no root needed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from servers.home import ServiceError, programs

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def unpacked(name: str, suite: str, packages: Sequence[str]) -> Path:
    """The folder that these packages of this suite were unpacked into; fetched once. It cannot be moved."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise ServiceError(f"{name} needs {tool} (Debian or Ubuntu); elsewhere use a Docker engine")
    folder = programs() / name
    complete = folder / "complete"
    root = folder / "root"
    if complete.exists():
        return root
    shutil.rmtree(folder, ignore_errors=True)
    root.mkdir(parents=True)
    _download(name, suite, packages, folder)
    for package in sorted((folder / "packages").glob("*.deb")):
        _run(name, ["dpkg-deb", "-x", str(package), str(root)])
    shutil.rmtree(folder / "packages")
    complete.touch()
    return root


def _download(name: str, suite: str, packages: Sequence[str], folder: Path) -> None:
    """With lists, state and cache of its own, so that the machine's apt is neither read nor changed."""
    for part in ("packages", "lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_archive(name)} {suite} main\n")
    options = [
        f"Dir::Etc::sourcelist={folder / 'sources.list'}",
        "Dir::Etc::sourceparts=-",
        f"Dir::State::lists={folder / 'lists'}",
        f"Dir::State::status={folder / 'status'}",
        f"Dir::Cache={folder / 'cache'}",
        "Debug::NoLocking=true",
        "APT::Sandbox::User=root",
    ]
    apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    _run(name, [*apt, "update"])
    _run(name, [*apt, "download", *packages], cwd=folder / "packages")


def _archive(name: str) -> str:
    """Where this machine takes Debian from."""
    found = _run(
        name, ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    ).splitlines()
    for address in found:
        if address.rstrip("/").endswith("/debian"):
            return address
    raise ServiceError(f"{name}: this machine's apt sources name no Debian archive; use a Docker engine")


def _run(name: str, command: list[str], cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError(f"{name}: {' '.join(command[:1])} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def relocate(name: str, root: Path, tree: Path, prefix: str) -> None:
    """Make the programs beneath `tree` run with the loader and libraries of `root`.

    Every ELF file gets the loader and library path of the unpacked system, whatever the machine's own libc
    is; `prefix`, the folder that scripts in `bin` have compiled in, becomes `tree`.
    """
    libraries = [
        path for path in (root / "usr/lib/x86_64-linux-gnu", root / "lib/x86_64-linux-gnu") if path.exists()
    ]
    path = ":".join(map(str, libraries))
    loader = next(iter(root.glob("**/ld-linux-x86-64.so.2")), None)
    patchelf = next(iter(root.glob("**/bin/patchelf")), None)
    if loader is None or patchelf is None:
        raise ServiceError(f"{name}: the unpacked packages hold no loader for this machine (amd64 only)")
    patch = [str(loader), "--library-path", path, str(patchelf)]
    for file in tree.rglob("*"):
        if file.is_symlink() or not file.is_file():
            continue
        head = file.read_bytes()[:18]
        if head[:4] == b"\x7fELF" and head[16:18] in (b"\x02\x00", b"\x03\x00"):
            if not file.name.endswith(".so") and ".so." not in file.name:
                _run(name, [*patch, "--set-interpreter", str(loader), str(file)])
            _run(name, [*patch, "--force-rpath", "--set-rpath", path, str(file)])
        elif head[:2] == b"#!" and prefix.encode() in (text := file.read_bytes()):
            file.write_bytes(text.replace(prefix.encode(), str(tree).encode()))
