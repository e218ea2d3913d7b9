"""Tokens to a tree, by binding power (Pratt).

From the tightest: function call, NOT, unary minus, LIKE, EXISTS, IN, `* / %`, `+ -`, comparisons,
and then AND, OR and XOR *together*, to the right, as the specification's grammar has them (CESQLParser.g4).
Readers expect otherwise, so `Parsed.surprise` says how such an expression was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from mesh_gateway.filters.cesql import syntax
from mesh_gateway.filters.cesql.lexer import CesqlSyntaxError, Token, tokens
from mesh_gateway.filters.cesql.values import MAX, MIN

MAX_DEPTH = 64
"""Of the tree. Compiled, a node takes up to three frames of Python's stack of 1,000, which the callers share."""

LOGICAL, COMPARISON, SUM, PRODUCT, IN, LIKE, MINUS, NOT = 10, 20, 30, 40, 50, 60, 70, 80

_BINDING = {
    **dict.fromkeys(("and", "or", "xor"), LOGICAL),
    **dict.fromkeys(("=", "!=", "<>", "<", "<=", ">", ">="), COMPARISON),
    **dict.fromkeys(("+", "-"), SUM),
    **dict.fromkeys(("*", "/", "%"), PRODUCT),
    "in": IN,
    "like": LIKE,
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A tree, and how it was read where that may not be what its author meant."""

    root: syntax.Node
    surprise: str | None


def parse(expression: str) -> Parsed:
    """Read one expression. Raises `CesqlSyntaxError`."""
    parser = _Parser(expression)
    root = parser.expression(0)
    parser.expect("end", "the end of the expression")
    _check_depth(root)
    return Parsed(root, parser.surprise())


def _check_depth(root: syntax.Node) -> None:
    """Operators to the left of each other (`1 + 1 + …`) make deep trees without recursion of the parser."""
    level: list[syntax.Node] = [root]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in syntax.children(node)]
        if not level:
            return
    raise _too_deep(level[0].start)


def _too_deep(position: int) -> CesqlSyntaxError:
    return CesqlSyntaxError(f"nested deeper than {MAX_DEPTH}", position + 1)


class _Parser:
    def __init__(self, expression: str) -> None:
        self._text = expression
        self._tokens = tokens(expression)
        self._at = 0
        self._depth = 0
        self._reasons: dict[str, None] = {}
        self._spans: list[tuple[int, int]] = []

    def expression(self, power: int) -> syntax.Node:
        """An expression whose operators bind tighter than `power`."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _too_deep(self._peek().start)
        start = self._peek().start
        left = self._prefix()
        while (binding := self._binding()) > max(power, LOGICAL):
            left = self._infix(start, left, binding)
        if binding == LOGICAL > power:
            left = self._chain(start, left)
        self._depth -= 1
        return left

    def expect(self, kind: str, what: str) -> Token:
        token = self._peek()
        if token.kind != kind:
            raise CesqlSyntaxError(f"expected {what}, found {_shown(token)}", token.start + 1)
        self._at += 1
        return token

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def _binding(self) -> int:
        """How tightly the operator that comes next binds; 0 = none comes."""
        kind = self._peek().kind
        if kind == "not" and self._peek(1).kind in ("like", "in"):
            kind = self._peek(1).kind
        return _BINDING.get(kind, 0)

    # ── what an expression begins with ───────────────────────────────────────────────────────

    def _prefix(self) -> syntax.Node:
        token = self._peek()
        self._at += token.kind != "end"
        match token.kind:
            case "string":
                return syntax.Literal(token.start, token.end, _unquoted(token.text))
            case "integer":
                return _integer(token.start, token.text)
            case "true" | "false":
                return syntax.Literal(token.start, token.end, token.kind == "true")
            case "+" | "-" if self._peek().kind == "integer" and self._peek().start == token.end:
                return _integer(token.start, token.text + self._next().text)
            case "-":
                operand = self.expression(MINUS - 1)
                return syntax.Negate(token.start, self._end(), operand)
            case "not":
                return self._not(token)
            case "exists":
                name = self._attribute_name()
                return syntax.Exists(token.start, name.end, name.text.lower())
            case "(":
                inner = self.expression(0)
                self.expect(")", "a closing bracket")
                return inner
            case "name":
                return self._name(token)
        raise CesqlSyntaxError(f"expected a value, found {_shown(token)}", token.start + 1)

    def _end(self) -> int:
        """Where the token just read ends, which may be a closing bracket of the last operand."""
        return self._tokens[self._at - 1].end

    def _not(self, token: Token) -> syntax.Node:
        operand = self.expression(NOT - 1)
        end = self._end()
        if self._binding() > LOGICAL:
            self._surprise("NOT binds tighter than what follows it", token.start, end)
        return syntax.Not(token.start, end, operand)

    def _attribute_name(self) -> Token:
        token = self._peek()
        if token.kind != "name" or "_" in token.text:
            raise CesqlSyntaxError(f"expected an attribute, found {_shown(token)}", token.start + 1)
        return self._next()

    def _name(self, token: Token) -> syntax.Node:
        if self._peek().kind == "(":
            self._at += 1
            arguments = () if self._peek().kind == ")" else self._list()
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

    def _infix(self, start: int, left: syntax.Node, binding: int) -> syntax.Node:
        token = self._next()
        negated = token.kind == "not"
        if negated:
            token = self._next()
        if token.kind == "like":
            pattern = self.expect("string", "a pattern in quotes")
            return syntax.Like(start, pattern.end, left, _unquoted(pattern.text), negated)
        if token.kind == "in":
            self.expect("(", "a list in brackets")
            elements = self._list()
            close = self.expect(")", "a closing bracket")
            return syntax.In(start, close.end, left, elements, negated)
        right = self.expression(binding)
        operator = "!=" if token.kind == "<>" else token.kind
        return syntax.Binary(start, self._end(), operator, left, right)

    def _chain(self, start: int, first: syntax.Node) -> syntax.Node:
        """`a AND b OR c …`: read in a row, then folded from the right, a run of one operator as one node."""
        operands, operators = [(start, first)], list[syntax.Connective]()
        while self._binding() == LOGICAL:
            operators.append(cast("syntax.Connective", self._next().kind))
            start = self._peek().start
            operands.append((start, self.expression(LOGICAL)))
        end = self._end()
        run = [operands.pop()[1]]
        while operators:
            operator = operators.pop()
            start, operand = operands.pop()
            run.append(operand)
            if not operators or operators[-1] != operator:
                run = [syntax.Logical(start, end, operator, tuple(reversed(run)))]
                if operators:
                    self._surprise("AND, OR and XOR have one precedence, to the right", start, end)
        return run[0]

    # ── what may surprise ────────────────────────────────────────────────────────────────────

    def _surprise(self, reason: str, start: int, end: int) -> None:
        self._reasons[reason] = None
        self._spans.append((start, end))

    def surprise(self) -> str | None:
        """The reasons, and the expression with the brackets that nobody wrote."""
        if not self._spans:
            return None
        return f"{'; '.join(self._reasons)}; it is read as: {_with_brackets(self._text, self._spans)}"


def _with_brackets(text: str, spans: Sequence[tuple[int, int]]) -> str:
    brackets = [(start, "(") for start, _ in spans] + [(end, ")") for _, end in spans]
    for place, bracket in sorted(brackets, reverse=True):
        text = text[:place] + bracket + text[place:]
    return text


def _integer(start: int, text: str) -> syntax.Node:
    value = int(text)
    if not MIN <= value <= MAX:
        shown = text if len(text) <= 20 else text[:20] + "…"
        raise CesqlSyntaxError(f"{shown} is outside the range of an Integer (32 bits)", start + 1)
    return syntax.Literal(start, start + len(text), value)


def _unquoted(text: str) -> str:
    quote = text[0]
    return text[1:-1].replace("\\" + quote, quote)


def _shown(token: Token) -> str:
    return "the end" if token.kind == "end" else repr(token.text[:40])
