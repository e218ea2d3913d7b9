"""Tokens to a tree, by binding power (Pratt).

From the tightest: function call, NOT, unary minus, LIKE, EXISTS, IN, `* / %`, `+ -`, comparisons,
and then AND, OR and XOR *together*, to the right, as the specification's grammar has them. Readers
expect otherwise, so `Parsed.surprises` says how such places were read.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mesh_gateway.filters.cesql import syntax
from mesh_gateway.filters.cesql.lexer import CesqlSyntaxError, Token, tokens

MAX_DEPTH = 64

LOGICAL, COMPARISON, SUM, PRODUCT, IN, LIKE, MINUS, NOT = 10, 20, 30, 40, 50, 60, 70, 80

_BINDING = {
    **dict.fromkeys(("and", "or", "xor"), LOGICAL),
    **dict.fromkeys(("=", "!=", "<>", "<", "<=", ">", ">="), COMPARISON),
    **dict.fromkeys(("+", "-"), SUM),
    **dict.fromkeys(("*", "/", "%"), PRODUCT),
    "in": IN,
    "like": LIKE,
}


@dataclass(slots=True)
class Parsed:
    """A tree, and where it may not be what its author meant."""

    root: syntax.Node
    surprises: list[str] = field(default_factory=list)


def parse(expression: str) -> Parsed:
    """Read one expression. Raises `CesqlSyntaxError`."""
    parser = _Parser(expression)
    root = parser.expression(0)
    parser.expect("end", "the end of the expression")
    return Parsed(root, parser.surprises)


class _Parser:
    def __init__(self, expression: str) -> None:
        self._text = expression
        self._tokens = tokens(expression)
        self._at = 0
        self._depth = 0
        self._bracketed: set[int] = set()
        self.surprises: list[str] = []

    def expression(self, power: int) -> syntax.Node:
        """An expression whose operators bind tighter than `power`."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise CesqlSyntaxError(f"nested deeper than {MAX_DEPTH}", self._peek().start + 1)
        left = self._prefix()
        while (binding := self._binding()) > power:
            left = self._infix(left, binding)
        self._depth -= 1
        return left

    def expect(self, kind: str, what: str) -> Token:
        token = self._peek()
        if token.kind != kind:
            raise CesqlSyntaxError(f"expected {what}, found {_shown(token)}", token.start + 1)
        self._at += 1
        return token

    def _peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def _binding(self) -> int:
        token = self._peek()
        if token.kind == "not":
            return _BINDING.get(self._peek(1).kind, 0) if self._peek(1).kind in ("like", "in") else 0
        return _BINDING.get(token.kind, 0)

    # ── what an expression begins with ───────────────────────────────────────────────────────

    def _prefix(self) -> syntax.Node:
        token = self._peek()
        self._at += 1
        match token.kind:
            case "string":
                return syntax.Literal(token.start, token.end, _unquoted(token.text))
            case "integer":
                return self._integer(token, token.text, token.start)
            case "true" | "false":
                return syntax.Literal(token.start, token.end, token.kind == "true")
            case "+" | "-" if self._peek().kind == "integer":
                number = self._peek()
                self._at += 1
                return self._integer(number, token.kind + number.text, token.start)
            case "-":
                operand = self.expression(MINUS - 1)
                return syntax.Negate(token.start, operand.end, operand)
            case "not":
                return self._not(token)
            case "exists":
                name = self._attribute_name()
                return syntax.Exists(token.start, name.end, name.text.lower())
            case "(":
                return self._brackets()
            case "name":
                return self._name(token)
        raise CesqlSyntaxError(f"expected a value, found {_shown(token)}", token.start + 1)

    def _integer(self, token: Token, text: str, start: int) -> syntax.Node:
        value = int(text)
        if not -(2**31) <= value < 2**31:
            raise CesqlSyntaxError(f"{text[:20]} is outside the range of an Integer", start + 1)
        return syntax.Literal(start, token.end, value)

    def _not(self, token: Token) -> syntax.Node:
        operand = self.expression(NOT - 1)
        following = self._peek().kind
        if following in _BINDING and _BINDING[following] > LOGICAL and following not in ("in",):
            self._surprise(token.start, operand.end, "NOT binds tighter than what follows")
        return syntax.Not(token.start, operand.end, operand)

    def _brackets(self) -> syntax.Node:
        inner = self.expression(0)
        self.expect(")", "a closing bracket")
        self._bracketed.add(id(inner))
        return inner

    def _attribute_name(self) -> Token:
        token = self._peek()
        if token.kind != "name" or "_" in token.text:
            raise CesqlSyntaxError(f"expected an attribute, found {_shown(token)}", token.start + 1)
        self._at += 1
        return token

    def _name(self, token: Token) -> syntax.Node:
        if self._peek().kind == "(":
            self._at += 1
            arguments = self._list() if self._peek().kind != ")" else ()
            close = self.expect(")", "a closing bracket")
            return syntax.Call(token.start, close.end, token.text.upper(), arguments)
        if "_" in token.text:
            raise CesqlSyntaxError(f"{token.text} is not an attribute (a-z and 0-9 only)", token.start + 1)
        return syntax.Attribute(token.start, token.end, token.text.lower())

    def _list(self) -> tuple[syntax.Node, ...]:
        found = [self.expression(0)]
        while self._peek().kind == ",":
            self._at += 1
            found.append(self.expression(0))
        return tuple(found)

    # ── what goes on ─────────────────────────────────────────────────────────────────────────

    def _infix(self, left: syntax.Node, binding: int) -> syntax.Node:
        token = self._peek()
        self._at += 1
        negated = token.kind == "not"
        if negated:
            token = self._peek()
            self._at += 1
        if token.kind == "like":
            pattern = self.expect("string", "a pattern in quotes")
            return syntax.Like(left.start, pattern.end, left, _unquoted(pattern.text), negated)
        if token.kind == "in":
            self.expect("(", "a list in brackets")
            elements = self._list()
            close = self.expect(")", "a closing bracket")
            return syntax.In(left.start, close.end, left, elements, negated)
        if binding == LOGICAL:
            return self._logical(left, token)
        right = self.expression(binding)
        operator = "!=" if token.kind == "<>" else token.kind
        return syntax.Binary(left.start, right.end, operator, left, right)

    def _logical(self, left: syntax.Node, token: Token) -> syntax.Node:
        right = self.expression(LOGICAL - 1)  # to the right: equal power goes on inside
        if (
            isinstance(right, syntax.Binary)
            and right.operator in ("and", "or", "xor")
            and right.operator != token.kind
            and id(right) not in self._bracketed
        ):
            self._surprise(
                right.start,
                right.end,
                f"{token.text.upper()} and {right.operator.upper()} have one precedence",
            )
        return syntax.Binary(left.start, right.end, token.kind, left, right)

    def _surprise(self, start: int, end: int, why: str) -> None:
        text = self._text
        self.surprises.append(f"{why}; it reads as: {text[:start]}({text[start:end]}){text[end:]}")


def _unquoted(text: str) -> str:
    quote = text[0]
    return text[1:-1].replace("\\" + quote, quote)


def _shown(token: Token) -> str:
    return "the end" if token.kind == "end" else repr(token.text[:40])
