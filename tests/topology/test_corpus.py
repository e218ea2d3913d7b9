"""Broken files and exactly what is said about each: `corpus/broken/NAME.yaml` and `NAME.txt`."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh_gateway.topology.faults import CODES, render
from mesh_gateway.topology.load import Source, load
from tests.topology.harness import KINDS, OF_WORKERS

BROKEN = Path(__file__).parent / "corpus" / "broken"
FILES = sorted(BROKEN.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_fault_of_a_broken_file_is_said_in_one_pass(file: Path):
    expected = file.with_suffix(".txt").read_text(encoding="utf-8")

    found = load([Source(file.name, file.read_text(encoding="utf-8"))], environment={"SET": "x"}, kinds=KINDS)

    assert render(found.faults) + "\n" == expected


def test_the_corpus_shows_every_code_of_documents_but_that_of_files_which_cannot_be_read():
    texts = "".join(file.with_suffix(".txt").read_text(encoding="utf-8") for file in FILES)

    assert [code for code in CODES if f" {code} " not in texts] == ["MG001", *OF_WORKERS]
    assert len(FILES) >= 50
