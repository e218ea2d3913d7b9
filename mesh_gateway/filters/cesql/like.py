"""LIKE without backtracking: work grows with the text, whatever the pattern (reliability.md V16).

The pattern is cut at its `%` into pieces. The first and the last are anchored; those between are looked for
from left to right, each at its first place, which is always right for `%`. So no character of the text is
looked at twice for want of another choice, and fifty `%a` cost fifty searches of what is left. A piece without
`_` is found by `str.find`; one with `_` by Shift-And: one integer holds all the places where the piece may have
begun, one shift and one mask take a character.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Find = Callable[[str, int, int], int]
"""(text, start, end) -> where the first occurrence ends, or -1."""

_Piece = list[str | None]
"""Characters that must be there; None stands for `_`, any one character."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern: `matches` says whether a whole text fits it.

    `exact` is the only text that fits, where there is only one. Any text that fits begins with `prefix` and
    ends with `suffix` (both may be empty); `affixes` says that nothing else is asked for.
    """

    matches: Callable[[str], bool]
    exact: str | None
    affixes: bool
    prefix: str
    suffix: str


def like(pattern: str) -> Pattern:
    r"""Compile a pattern: `%` any run, `_` one character, `\%` and `\_` themselves (CESQL 1.0.0, 3.4.2)."""
    pieces = _pieces(pattern)
    first, last = pieces[0], pieces[-1]
    prefix, suffix = _literal(first), _literal(last[::-1])[::-1]
    if len(pieces) == 1:
        exact = None if None in first else prefix
        return Pattern(_whole(first), exact=exact, affixes=False, prefix=prefix, suffix=suffix)
    if len(pieces) == 2 and None not in first and None not in last:
        return Pattern(_ends(prefix, suffix), exact=None, affixes=True, prefix=prefix, suffix=suffix)
    inner = [_find(piece) for piece in pieces[1:-1]]
    return Pattern(_anchored(first, inner, last), exact=None, affixes=False, prefix=prefix, suffix=suffix)


def _pieces(pattern: str) -> list[_Piece]:
    pieces: list[_Piece] = [[]]
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\" and pattern[position + 1 : position + 2] in ("%", "_"):
            position += 1
            pieces[-1].append(pattern[position])
        elif character == "%":
            pieces.append([])
        else:
            pieces[-1].append(None if character == "_" else character)
        position += 1
    # An empty piece between two `%` says nothing.
    return [piece for i, piece in enumerate(pieces) if piece or i in (0, len(pieces) - 1)]


def _literal(piece: _Piece) -> str:
    """The characters before the first `_`."""
    end = piece.index(None) if None in piece else len(piece)
    return "".join(character for character in piece[:end] if character is not None)


def _whole(piece: _Piece) -> Callable[[str], bool]:
    if None not in piece:
        wanted = _literal(piece)
        return lambda text: text == wanted
    fits, length = _fits(piece), len(piece)
    return lambda text: len(text) == length and fits(text, 0)


def _ends(prefix: str, suffix: str) -> Callable[[str], bool]:
    least = len(prefix) + len(suffix)
    return lambda text: text.startswith(prefix) and text.endswith(suffix) and len(text) >= least


def _anchored(first: _Piece, inner: list[Find], last: _Piece) -> Callable[[str], bool]:
    begins, ends = _fits(first), _fits(last)
    least, head, tail = len(first) + len(last), len(first), len(last)

    def matches(text: str) -> bool:
        if len(text) < least or not begins(text, 0):
            return False
        position, end = head, len(text) - tail
        if not ends(text, end):
            return False
        for find in inner:
            position = find(text, position, end)
            if position < 0:
                return False
        return True

    return matches


def _fits(piece: _Piece) -> Callable[[str, int], bool]:
    """Whether the piece stands at a place of a text that is long enough."""
    if None not in piece:
        wanted = _literal(piece)
        return lambda text, at: text.startswith(wanted, at)
    places = [(i, character) for i, character in enumerate(piece) if character is not None]
    return lambda text, at: all(text[at + i] == character for i, character in places)


def _find(piece: _Piece) -> Find:
    if None in piece:
        return _find_with_gaps(piece)
    wanted = _literal(piece)
    length = len(wanted)

    def find(text: str, start: int, end: int) -> int:
        at = text.find(wanted, start, end)
        return at if at < 0 else at + length

    return find


def _find_with_gaps(piece: _Piece) -> Find:
    """Shift-And (Baeza-Yates and Gonnet): bit i of `state` = the last i+1 characters fit the first i+1 of the piece."""
    gaps = sum(1 << i for i, character in enumerate(piece) if character is None)
    masks = {character: gaps for character in piece if character is not None}
    for i, character in enumerate(piece):
        if character is not None:
            masks[character] |= 1 << i
    found = 1 << (len(piece) - 1)

    def find(text: str, start: int, end: int) -> int:
        state = 0
        for at in range(start, end):
            state = ((state << 1) | 1) & masks.get(text[at], gaps)
            if state & found:
                return at + 1
        return -1

    return find
