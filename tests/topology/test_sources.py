"""What `-f` takes."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from mesh_gateway.topology.load import Source, load
from tests.topology.harness import BROKER, KINDS, codes


def test_a_directory_is_its_yaml_files_sorted_and_not_deeper(tmp_path: Path):
    for name in ("b.yaml", "a.yml", "c.txt", "deep/d.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(BROKER)

    sources = Source.from_paths([str(tmp_path)])

    assert [Path(source.name).name for source in sources] == ["a.yml", "b.yaml"]
    assert all(source.folder == tmp_path for source in sources)


def test_a_file_given_twice_is_read_once(tmp_path: Path):
    file = tmp_path / "mesh.yaml"
    file.write_text(BROKER)

    assert len(Source.from_paths([str(file), str(tmp_path), f"{tmp_path}/./mesh.yaml"])) == 1


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BROKER.encode())))

    (source,) = Source.from_paths(["-"])

    assert (source.name, source.text) == ("<stdin>", BROKER)


def test_what_cannot_be_read_is_a_fault_beside_the_others(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong.yaml").write_text("a: b: c")
    paths = [tmp_path / "missing.yaml", tmp_path / "empty", tmp_path / "wrong.yaml"]

    found = load(Source.from_paths([str(path) for path in paths]), environment={}, kinds=KINDS)

    assert found.spec is None
    assert codes(found) == ["MG001", "MG001", "MG002"]
    assert str(found.faults[0]).startswith(f"{tmp_path}/missing.yaml MG001 error no such file or directory")
    assert "no *.yaml or *.yml in this directory" in found.faults[1].message


def test_a_file_that_is_not_utf_8_is_named_with_its_line(tmp_path: Path):
    (tmp_path / "latin.yaml").write_bytes(b"a: b\nc: \xe9\n")

    found = load(Source.from_paths([str(tmp_path)]), environment={}, kinds=KINDS)

    assert codes(found) == ["MG001"]
    assert "not UTF-8 in line 2" in found.faults[0].message


def test_a_byte_order_mark_does_not_count(tmp_path: Path):
    (tmp_path / "mesh.yaml").write_bytes(b"\xef\xbb\xbf" + BROKER.encode())

    assert load(Source.from_paths([str(tmp_path)]), environment={}, kinds=KINDS).faults == ()
