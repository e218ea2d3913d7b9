"""docs/operations/beside.md as a program: its commands and documents, with names of one's own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).parent.parent.parent / "docs/operations/beside.md"


def blocks(chapter: str, language: str, names: Mapping[str, str]) -> list[str]:
    """The fenced blocks of this language below this heading (`""`: before all chapters), names replaced."""
    text = PAGE.read_text()
    chapters = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    found = dict(zip(["", *chapters[1::2]], [chapters[0], *chapters[2::2]], strict=True))[chapter]
    parts = re.findall(rf"^```{language}\n(.*?)^```$", found, flags=re.MULTILINE | re.DOTALL)
    assert parts, f"the page has no {language} below {chapter!r}"
    return [replaced(part, names) for part in parts]


def replaced(text: str, names: Mapping[str, str]) -> str:
    for name, other in names.items():
        assert name in text or name not in PAGE.read_text(), name
        text = text.replace(name, other)
    return text


def commands(chapter: str, language: str, verb: str, names: Mapping[str, str]) -> list[list[tuple[str, str]]]:
    """Every `… verb` command as its (option, value) pairs; a flag's value is empty."""
    lines = [line for block in blocks(chapter, language, names) for line in block.splitlines()]
    found = [_pairs(shlex.split(line)) for line in lines if verb in line.split()]
    assert found, f"the page has no {verb} below {chapter!r}"
    return found


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for word in words:
        if word.startswith("--"):
            pairs.append((word, ""))
        elif pairs:
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]} {word}".strip())
    return pairs
