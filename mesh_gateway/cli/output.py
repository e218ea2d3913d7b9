"""Data to standard output in the form that was asked for; notices to standard error.

Tables are plain aligned columns when nobody looks (a pipe, a file, `TERM=dumb`) and drawn by rich
on a terminal. What came from an event is cleaned of control characters before a person sees it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click


def notice(text: str) -> None:
    """One line for the person, never part of the data."""
    click.echo(text, err=True)


def clean(value: object) -> str:
    """The value as text that cannot steer a terminal; None is `-`."""
    if value is None:
        return "-"
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def colour(text: str, name: str) -> str:
    """The text in a colour, where colours are wanted; `click.echo` takes them off for a pipe."""
    return text if "NO_COLOR" in os.environ else click.style(text, fg=name)


def document(value: Any, form: str) -> None:
    """Print one value as `json`, `jsonl` or `yaml`."""
    if form == "yaml":
        import yaml

        click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)
    elif form == "jsonl":
        click.echo(json.dumps(value, ensure_ascii=False))
    else:
        click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def rows(items: Sequence[Mapping[str, Any]], columns: Sequence[str], form: str) -> None:
    """Print records: a table of `columns` (keys of the records), an array, or one JSON object a line."""
    if form == "table":
        table(columns, [[item.get(column) for column in columns] for item in items])
    elif form == "jsonl":
        for item in items:
            document(item, form)
    else:
        document(list(items), form)


def table(titles: Sequence[str], cells: Iterable[Sequence[object]]) -> None:
    """Print a table; a column of numbers is aligned to the right."""
    lines = [[clean(cell) for cell in line] for line in cells]
    heads = [title.replace("_", " ").upper() for title in titles]
    right = [_is_numeric([line[index] for line in lines]) for index in range(len(heads))]
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        _draw(heads, lines, right)
        return
    widths = [max(len(line[index]) for line in [heads, *lines]) for index in range(len(heads))]
    for line in [heads, *lines]:
        padded = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def duration(seconds: float | None) -> str | None:
    """`4 ms`, `1.2 s`, `3 min`, `2 h`, `4 d`: the largest unit that says enough."""
    if seconds is None:
        return None
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 60:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    for size, unit in ((86_400, "d"), (3_600, "h")):
        if seconds >= size:
            return f"{round(seconds / size)} {unit}"
    return f"{round(seconds / 60)} min"


def moment(unix: float | None) -> str | None:
    """Unix seconds as UTC to the second."""
    if unix is None:
        return None
    from datetime import UTC, datetime

    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_numeric(column: Sequence[str]) -> bool:
    given = [text for text in column if text != "-"]
    return bool(given) and all(text.replace(".", "", 1).isdecimal() for text in given)


def _draw(heads: Sequence[str], lines: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for head, to_right in zip(heads, right, strict=True):
        drawn.add_column(head, justify="right" if to_right else "left", overflow="fold")
    for line in lines:
        drawn.add_row(*(Text(text) for text in line))
    Console(highlight=False).print(drawn)
