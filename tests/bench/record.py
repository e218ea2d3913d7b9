"""The record of measurements in docs/performance.md: a dated table for each sitting, the newest at the end. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from tests.bench.rows import Row, markdown

BEGIN, END = (
    "<!-- measured: python -m tests.bench --append writes below -->",
    "<!-- end of what is measured -->",
)


def section(when: str, commit: str, versions: str, rows: Iterable[Row]) -> str:
    """One sitting."""
    return f"### {when}{f', {commit}' if commit else ''}\n\n{versions}\n\n{markdown(rows)}"


def appended(document: str, section: str) -> str:
    """The document with one section more. Raises `ValueError` when it has no place for it."""
    before, begin, rest = document.partition(BEGIN)
    measured, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"there is no {BEGIN} with {END} after it")
    return f"{before}{begin}{measured.rstrip()}\n\n{section}\n{end}{after}"
