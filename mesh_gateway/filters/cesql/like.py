"""LIKE without backtracking: work grows with text times pieces, whatever the pattern.

The pattern is cut at its `%`; the first and last piece are anchored, those between are looked for
from left to right, each at its first place, which is always right for `%`. So a pattern of fifty
`%a` costs fifty searches and not an exponential number of them (V16).
"""

from __future__ import annotations

from collections.abc import Callable

_ANY = None
"""Stands for `_` in a piece: any one character."""

Piece = tuple[str | None, ...]


def like(pattern: str) -> Callable[[str], bool]:
    """A function that says whether a whole text matches."""
    pieces = _pieces(pattern)
    if all(_ANY not in piece for piece in pieces):
        return _plain(["".join(c for c in piece if c is not None) for piece in pieces])
    return lambda text: _match(text, pieces)


def _pieces(pattern: str) -> list[Piece]:
    pieces: list[list[str | None]] = [[]]
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\" and pattern[position + 1 : position + 2] in ("%", "_"):
            position += 1
            pieces[-1].append(pattern[position])
        elif character == "%":
            pieces.append([])
        else:
            pieces[-1].append(_ANY if character == "_" else character)
        position += 1
    # Empty pieces between two `%` say nothing.
    inner = [tuple(piece) for piece in pieces[1:-1] if piece]
    return [tuple(pieces[0]), *inner, tuple(pieces[-1])] if len(pieces) > 1 else [tuple(pieces[0])]


def _plain(pieces: list[str]) -> Callable[[str], bool]:
    """Without `_`: string methods do it in C."""
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return lambda text: text == first
    inner = pieces[1:-1]
    if not inner:
        if not last:
            return lambda text: text.startswith(first)
        if not first:
            return lambda text: text.endswith(last)
    least = len(first) + len(last)

    def matches(text: str) -> bool:
        if len(text) < least or not text.startswith(first) or not text.endswith(last):
            return False
        position, end = len(first), len(text) - len(last)
        for piece in inner:
            found = text.find(piece, position, end)
            if found < 0:
                return False
            position = found + len(piece)
        return True

    return matches


def _match(text: str, pieces: list[Piece]) -> bool:
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return len(text) == len(first) and _at(text, 0, first)
    end = len(text) - len(last)
    if end < len(first) or not _at(text, 0, first) or not _at(text, end, last):
        return False
    position = len(first)
    for piece in pieces[1:-1]:
        while position + len(piece) <= end and not _at(text, position, piece):
            position += 1
        if position + len(piece) > end:
            return False
        position += len(piece)
    return True


def _at(text: str, position: int, piece: Piece) -> bool:
    return all(want is _ANY or text[position + i] == want for i, want in enumerate(piece))
