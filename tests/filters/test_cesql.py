"""CESQL where the specification's test kit is silent, and where we chose."""

from typing import Any

import pytest

from mesh_gateway.event import Event
from mesh_gateway.filters import cesql

EVENT = Event.new(
    type="order.created", source="/eu", id="1", hop=7, vip=True, name="Zoë 🎈", n="007", empty=""
)


def value(expression: str) -> Any:
    return cesql.compile(expression).evaluate(EVENT).value


def error(expression: str) -> Any:
    return cesql.compile(expression).evaluate(EVENT).error


# ── precedence ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("FALSE AND TRUE OR TRUE", False),  # FALSE AND (TRUE OR TRUE)
        ("TRUE OR TRUE AND FALSE", True),
        ("TRUE XOR TRUE OR TRUE", False),  # TRUE XOR (TRUE OR TRUE)
        ("TRUE XOR TRUE XOR TRUE", True),
        ("(FALSE AND TRUE) OR TRUE", True),
        ("NOT FALSE = TRUE", True),
        ("NOT TRUE = FALSE", True),  # (NOT TRUE) = FALSE
        ("1 + 2 * 3", 7),
        ("7 - 2 - 1", 4),
        ("-2 * 3 + 1", -5),
        ("1 + 1 = 2", True),
        ("- hop", -7),
        ("--3", 3),
        ("hop -3", 4),
        ("5-3", 2),
        ("5 - -3", 8),
        ("5+3", 8),
        ("hop IN (1 + 6)", True),
        ("type LIKE 'order%' = TRUE", True),
        ("1 < 2 = TRUE", True),
    ],
)
def test_precedence_is_that_of_the_grammar(expression: str, expected: object) -> None:
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("expression", "read_as"),
    [
        ("a AND b OR c", "a AND (b OR c)"),
        ("a OR b AND c OR d", "a OR (b AND (c OR d))"),
        ("a AND b AND c XOR d", "a AND b AND (c XOR d)"),
        ("(a = 1) AND (b OR c) OR d", "(a = 1) AND ((b OR c) OR d)"),
        ("NOT a = b", "(NOT a) = b"),
        ("NOT a LIKE 'x'", "(NOT a) LIKE 'x'"),
        ("NOT a NOT LIKE 'x'", "(NOT a) NOT LIKE 'x'"),
        ("NOT (a) IN ('x')", "(NOT (a)) IN ('x')"),
        ("NOT a + 1", "(NOT a) + 1"),
        ("NOT a = b AND c OR d", "(NOT a) = b AND (c OR d)"),
        ("f(a AND b OR c)", "f(a AND (b OR c))"),
    ],
)
def test_a_reading_that_may_surprise_is_shown_in_brackets(expression: str, read_as: str) -> None:
    surprise = cesql.compile(expression).surprise
    assert surprise is not None
    assert surprise.endswith(f"it is read as: {read_as}")


@pytest.mark.parametrize(
    "expression",
    [
        "a AND b AND c",
        "a OR (b AND c)",
        "(a AND b) OR c",
        "NOT (a = b)",
        "NOT EXISTS a AND b",
        "NOT a AND NOT b",
        "a NOT LIKE 'x' AND b NOT IN ('y')",
        "a = 1 + 2 * 3",
    ],
)
def test_what_reads_as_everybody_expects_is_no_surprise(expression: str) -> None:
    assert cesql.compile(expression).surprise is None


# ── where the specification is silent ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "expression",
    [
        "2147483647 + 1",
        "-2147483648 - 1",
        "65536 * 65536",
        "-2147483648 / -1",
        "- (-2147483648)",
        "1 / 0",
        "1 % 0",
    ],
)
def test_what_overflows_is_a_math_error_and_zero(expression: str) -> None:
    assert (value(expression), error(expression)) == (0, "math")


def test_the_absolute_value_of_the_least_integer_is_the_greatest_with_an_error() -> None:
    assert (value("ABS(-2147483648)"), error("ABS(-2147483648)")) == (2147483647, "math")


def test_division_goes_towards_zero_and_the_remainder_has_the_sign_of_the_left() -> None:
    assert [value(e) for e in ("7 / 2", "-7 / 2", "7 / -2", "-7 % 2", "7 % -2")] == [3, -3, -3, -1, 1]


@pytest.mark.parametrize("expression", ["2147483648", "-2147483649", "9" * 4000, "- 2147483648"])
def test_a_literal_outside_32_bits_is_refused(expression: str) -> None:
    with pytest.raises(cesql.CesqlSyntaxError, match="outside the range"):
        cesql.compile(expression)


def test_characters_are_code_points() -> None:
    assert value("LENGTH(name)") == 5
    assert value("name LIKE 'Zoë _'") is True
    assert value("RIGHT(name, 1)") == "🎈"


def test_a_string_that_is_cast_may_have_zeros_in_front() -> None:
    assert value("n = 7") is True
    assert value("n = '7'") is False
    assert value("INT('+00000000000000000007')") == 7


@pytest.mark.parametrize("text", ["1_000", " 7", "7.0", "٧", "", "9" * 5000])
def test_what_is_no_integer_is_a_cast_error(text: str) -> None:
    event = EVENT.with_attributes({"n": text})
    assert cesql.compile("n + 0").evaluate(event).error == "cast"


def test_a_typed_extension_keeps_its_type() -> None:
    assert value("vip") is True
    assert value("hop") == 7
    assert value("hop = '7'") is True
    assert value("vip = 'true'") is True
    assert error("vip + hop") is None


def test_elements_are_cast_to_the_left_side_until_one_fails() -> None:
    assert value("hop IN ('1', '7')") is True
    assert (value("hop IN ('x', 7)"), error("hop IN ('x', 7)")) == (False, "cast")
    assert (value("hop IN (7, 'x')"), error("hop IN (7, 'x')")) == (True, None)
    assert value("vip IN ('TRUE')") is True


def test_a_doubled_quote_stays_doubled_and_an_escaped_one_is_one() -> None:
    assert value(r"""'it\'s'""") == "it's"
    assert value("'it''s'") == "it''s"
    assert value(r"""'a\"b'""") == r"a\"b"


def test_keywords_functions_and_attributes_are_read_in_any_case() -> None:
    assert value("Not ExIsTs MISSING aNd TYPE lIkE 'order%' And length(Source) = 3") is True


@pytest.mark.parametrize(
    ("expression", "column"),
    [
        ("type = ", 8),
        ("type = 'x", 8),
        ("type # 'x'", 6),
        ("(type = 'x'", 12),
        ("type LIKE source", 11),
        ("type IN 'x'", 9),
        ("EXISTS 'x'", 8),
        ("my_ext = 1", 1),
        ("EXISTS my_ext", 8),
        ("+ 3", 1),
        ("type = 'x' 'y'", 12),
        ("NOT", 4),
        ("f(1,", 5),
        ("", 1),
    ],
)
def test_a_syntax_error_names_its_column(expression: str, column: int) -> None:
    with pytest.raises(cesql.CesqlSyntaxError) as caught:
        cesql.compile(expression)
    assert caught.value.column == column
    assert str(caught.value).endswith(f"at column {column}")


def test_and_or_stop_at_the_operand_that_decides() -> None:
    assert (value("EXISTS x AND x = 'a'"), error("EXISTS x AND x = 'a'")) == (False, None)
    assert error("TRUE OR x = 'a'") is None
    assert error("FALSE XOR x = 'a'") == "missingAttribute"
    assert error("TRUE AND TRUE AND x = 'a'") == "missingAttribute"
    assert error("FALSE OR FALSE OR TRUE OR x = 'a'") is None


def test_an_unknown_function_is_an_error_when_evaluated() -> None:
    expression = cesql.compile("FOO(1) OR TRUE")
    assert expression.missing == [(1, "there is no function FOO")]
    assert expression.evaluate(EVENT).error == "missingFunction"


@pytest.mark.parametrize(
    ("expression", "expected", "kind"),
    [
        ("SUBSTRING('abc', 2)", "bc", None),
        ("SUBSTRING('abc', -2, 1)", "b", None),
        ("SUBSTRING('abc', 1, 99)", "abc", None),
        ("SUBSTRING('abc', 1, -1)", "", "functionEvaluation"),
        ("SUBSTRING('abc', 4)", "", "functionEvaluation"),
        ("CONCAT()", "", None),
        ("RIGHT('abc', 0)", "", None),
        ("LEFT('abc', -1)", "abc", "functionEvaluation"),
        ("LEFT('abc', -1) = 'abc'", False, "functionEvaluation"),
        ("STRING(vip)", "true", None),
        ("INT(empty)", 0, "cast"),
        ("BOOL('yes')", False, "cast"),
    ],
)
def test_functions_at_their_edges(expression: str, expected: object, kind: str | None) -> None:
    assert (value(expression), error(expression)) == (expected, kind)


# ── LIKE ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("", "", True),
        ("", "%", True),
        ("a", "", False),
        ("abc", "abc", True),
        ("abc", "a%c", True),
        ("aba", "ab%ba", False),
        ("abba", "ab%ba", True),
        ("abc", "%b%", True),
        ("abcbcd", "%bc%d", True),
        ("a\nb", "a_b", True),
        ("a%b", r"a\%b", True),
        ("axb", r"a\%b", False),
        ("axb", r"a\_b", False),
        (r"a\b", r"a\b", True),
        ("xabyabz", "%a_y%z", True),
        ("xabyabz", "%a_z%z", False),
        ("aab", "%_b", True),
        ("b", "%_b", False),
        ("abcd", "a__d", True),
        ("abcd", "%_%_%_%_%", True),
        ("abc", "%_%_%_%_%", False),
        ("aaab", "%a_b%", True),
    ],
)
def test_like_matches_the_whole_text(text: str, pattern: str, expected: bool) -> None:
    event = EVENT.with_attributes({"n": text})
    assert cesql.compile(f"n LIKE '{pattern}'").evaluate(event).value is expected
    assert cesql.compile(f"n NOT LIKE '{pattern}'").evaluate(event).value is not expected
    assert cesql.compile(f"CONCAT(n) LIKE '{pattern}'").evaluate(event).value is expected


def test_an_attribute_that_is_not_of_the_type_it_is_said_to_be_of_is_text():
    event = Event({**EVENT.attributes, "hop": "many"}, kinds={"hop": "integer", "name": "boolean"})

    assert cesql.compile("hop").evaluate(event).value == "many"
    assert cesql.compile("name").evaluate(event).value == EVENT.attributes["name"]
