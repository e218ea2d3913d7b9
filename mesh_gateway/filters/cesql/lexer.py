"""Text to tokens, within limits that keep hostile expressions cheap."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LENGTH = 4_096
"""Characters of an expression."""
MAX_TOKENS = 1_000
"""Together with `parser.MAX_DEPTH` this bounds the work and the stack of everything behind the lexer."""

KEYWORDS = frozenset({"and", "or", "xor", "not", "like", "in", "exists", "true", "false"})

_token = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
    |(?P<word>[A-Za-z0-9_]+)
    |(?P<operator><=|>=|!=|<>|[=<>+\-*/%(),])""",
    re.VERBOSE | re.DOTALL,
)


class CesqlSyntaxError(ValueError):
    """The expression is not CESQL. `column` counts characters from 1."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"{message} at column {column}")
        self.message = message
        self.column = column


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is `string`, `integer`, `name`, a keyword, an operator, or `end`."""

    kind: str
    text: str
    start: int
    end: int


def tokens(expression: str) -> list[Token]:
    """All tokens and a last one of kind `end`. Raises `CesqlSyntaxError`."""
    if len(expression) > MAX_LENGTH:
        raise CesqlSyntaxError(f"the expression is longer than {MAX_LENGTH} characters", MAX_LENGTH + 1)
    found: list[Token] = []
    position = 0
    while position < len(expression):
        match = _token.match(expression, position)
        if match is None:
            raise _unexpected(expression[position], position)
        if match.lastgroup != "space":
            found.append(Token(_kind(match), match[0], position, match.end()))
            if len(found) > MAX_TOKENS:
                raise CesqlSyntaxError(f"the expression has more than {MAX_TOKENS} tokens", position + 1)
        position = match.end()
    found.append(Token("end", "", position, position))
    return found


def _unexpected(character: str, position: int) -> CesqlSyntaxError:
    if character in "'\"":
        return CesqlSyntaxError("the string that begins here does not end", position + 1)
    return CesqlSyntaxError(f"unexpected {character!r}", position + 1)


def _kind(match: re.Match[str]) -> str:
    text = match[0]
    if match.lastgroup == "string":
        return "string"
    if match.lastgroup == "operator":
        return text
    if text.isdecimal():
        return "integer"
    lower = text.lower()
    return lower if lower in KEYWORDS else "name"
