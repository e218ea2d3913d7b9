"""Java programs from Maven Central, with all they need, into a folder of jars."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from servers.home import ServiceError, programs

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def jars(name: str, artifacts: Sequence[str]) -> Path:
    """The folder with the jars of these `group:artifact:version`s; fetched once."""
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise ServiceError(
                f"{name} needs {tool}, which is not there; install it (Debian: apt-get install default-jre-headless maven)"
            )
    folder = programs() / name
    library = folder / "lib"
    complete = folder / "complete"
    if complete.exists():
        return library
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "pom.xml").write_text(_pom(artifacts))
    done = subprocess.run(
        # Java takes the home from passwd, not from $HOME: name the local repository.
        ["mvn", "-q", "-B", "-ntp", f"-Dmaven.repo.local={programs() / 'm2'}", "-f", str(folder / "pom.xml"),
         PLUGIN, "-DincludeScope=runtime", f"-DoutputDirectory={library}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ServiceError(f"{name}: Maven could not fetch it:\n{(done.stdout + done.stderr)[-3000:]}")
    complete.touch()
    return library


def _pom(artifacts: Sequence[str]) -> str:
    def dependency(artifact: str) -> str:
        group, name, version = artifact.split(":")
        return (
            f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
            f"<version>{version}</version></dependency>"
        )

    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>mesh</groupId><artifactId>services</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{''.join(map(dependency, artifacts))}</dependencies></project>"
    )
