"""Filters held to their invariants over generated filters and events."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.event import Event
from mesh_gateway.filters import attributes, cesql
from mesh_gateway.filters.cesql.like import like
from mesh_gateway.filters.dialects import Filter, FilterFaults, parse
from mesh_gateway.filters.disjoint import disjoint
from mesh_gateway.filters.index import FilterIndex

TEXTS = ["a", "b", "ab", "ba", "aba", "abab", "1", "true"]
texts = st.sampled_from(TEXTS)
names = st.sampled_from(["type", "source", "subject", "hop", "vip", "dataschema", "schemaurl", "absent"])
connectives = st.sampled_from(["AND", "OR", "XOR"])


@st.composite
def events(draw: st.DrawFn) -> Event:
    more: dict[str, Any] = {}
    for name in ("subject", "dataschema", "schemaurl"):
        if draw(st.booleans()):
            more[name] = draw(texts) if name == "subject" else "urn:" + draw(texts)
    if draw(st.booleans()):
        more["hop"] = draw(st.one_of(st.integers(-2, 2), texts))
    if draw(st.booleans()):
        more["vip"] = draw(st.one_of(st.booleans(), texts))
    return Event.new(type=draw(texts), source=draw(texts), id="1", **more)


# ── CESQL as text ────────────────────────────────────────────────────────────────────────────

literals = st.one_of(
    texts.map(lambda text: f"'{text}'"), st.integers(-3, 3).map(str), st.sampled_from(["TRUE", "false"])
)
patterns = st.text(alphabet="ab%_", max_size=6)


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(["=", "!=", "<", ">=", "+", "-", "*", "/", "%", "AND", "OR", "XOR"])
    return st.one_of(
        st.tuples(inner, binary, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, binary, inner).map(" ".join),
        inner.map(lambda e: f"NOT ({e})"),
        inner.map(lambda e: f"-({e})"),
        st.tuples(inner, st.sampled_from(["LIKE", "NOT LIKE"]), patterns).map(
            lambda t: f"({t[0]}) {t[1]} '{t[2]}'"
        ),
        st.tuples(inner, st.lists(inner, min_size=1, max_size=3)).map(
            lambda t: f"({t[0]}) IN ({', '.join(t[1])})"
        ),
        st.tuples(st.sampled_from(["LENGTH", "ABS", "UPPER", "BOOL", "INT"]), inner).map(
            lambda t: f"{t[0]}({t[1]})"
        ),
    )


expressions = st.recursive(st.one_of(literals, names, names.map("EXISTS {}".format)), _larger, max_leaves=6)
conditions = st.one_of(
    st.tuples(names, texts).map(lambda t: f"{t[0]} = '{t[1]}'"),
    st.tuples(names, patterns).map(lambda t: f"{t[0]} LIKE '{t[1]}'"),
    expressions,
)
chains = st.lists(conditions, min_size=1, max_size=3).map(" AND ".join)


# ── filters as documents ─────────────────────────────────────────────────────────────────────

comparisons = st.tuples(
    st.sampled_from(["exact", "prefix", "suffix"]), st.dictionaries(names, texts, min_size=1, max_size=2)
).map(lambda t: {t[0]: t[1]})


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        several.map(lambda some: {"all": some}),
        several.map(lambda some: {"any": some}),
        inner.map(lambda one: {"not": one}),
    )


documents = st.recursive(
    st.one_of(comparisons, comparisons, chains.map(lambda e: {"cesql": e})), _nested, max_leaves=5
)


@st.composite
def filters(draw: st.DrawFn) -> tuple[Filter, Any]:
    """A filter and the document it came from; expressions that can never be true or false are left out."""
    document = draw(documents.filter(_usable))
    return parse([document]), document


def _usable(document: Any) -> bool:
    try:
        parse([document])
    except FilterFaults:
        return False
    return True


def means(document: Any, event: Event) -> bool:
    """The dialects as their specification words them."""
    ((dialect, value),) = document.items()
    if dialect == "all":
        return all(means(child, event) for child in value)
    if dialect == "any":
        return any(means(child, event) for child in value)
    if dialect == "not":
        return not means(value, event)
    if dialect == "cesql":
        result = cesql.compile(value).evaluate(event)
        return result.value is True and result.error is None
    found = [(attributes.text(event, name), wanted) for name, wanted in value.items()]
    if dialect == "exact":
        return all(text == wanted for text, wanted in found)
    if dialect == "prefix":
        return all(text is not None and text[: len(wanted)] == wanted for text, wanted in found)
    return all(text is not None and text[-len(wanted) :] == wanted for text, wanted in found)


# ── properties ───────────────────────────────────────────────────────────────────────────────


@given(filters(), events())
def test_a_filter_means_what_its_document_says(made: tuple[Filter, Any], event: Event) -> None:
    one, document = made
    assert one.matches(event) is means(document, event)


@given(st.lists(filters(), max_size=12), st.lists(events(), min_size=1, max_size=6))
def test_the_index_answers_as_asking_every_filter(made: list[tuple[Filter, Any]], some: list[Event]) -> None:
    all_filters = [one for one, _ in made]
    index = FilterIndex(all_filters)
    for event in [*some, *some]:  # the second time from memory
        naive = [i for i, one in enumerate(all_filters) if one.matches(event)]
        assert list(index.match(event)) == naive


@given(filters(), events())
def test_a_reason_is_given_exactly_when_an_event_is_refused(made: tuple[Filter, Any], event: Event) -> None:
    one, _ = made
    reason = one.why_not(event)
    assert (reason is None) is one.matches(event)
    assert reason is None or reason.startswith("filters[0]")


@given(filters(), filters(), st.lists(events(), max_size=8))
def test_no_event_passes_two_disjoint_filters(
    made: tuple[Filter, Any], other: tuple[Filter, Any], some: list[Event]
) -> None:
    if disjoint(made[0], other[0]):
        assert not any(made[0].matches(event) and other[0].matches(event) for event in some)


@given(filters(), events())
def test_an_event_that_passes_meets_every_demand(made: tuple[Filter, Any], event: Event) -> None:
    one, _ = made
    if one.matches(event):
        for operator, name, value in one.demands():
            assert parse([{operator: {name: value}}]).matches(event)


@given(expressions, events())
def test_brackets_shown_for_a_surprise_change_nothing(expression: str, event: Event) -> None:
    compiled = cesql.compile(expression)
    if compiled.surprise is not None:
        bracketed = cesql.compile(compiled.surprise.partition("it is read as: ")[2])
        assert bracketed.surprise is None
        assert bracketed.evaluate(event) == compiled.evaluate(event)


@given(
    st.lists(st.sampled_from(["TRUE", "FALSE", "EXISTS hop", "absent = 'a'"]), min_size=1, max_size=7),
    st.lists(connectives, min_size=6, max_size=6),
    events(),
)
def test_logical_chains_are_read_from_the_right(
    operands: list[str], between: list[str], event: Event
) -> None:
    flat, bracketed = operands[0], operands[-1]
    for operator, operand in zip(between, operands[1:], strict=False):
        flat = f"{flat} {operator} {operand}"
    for operator, operand in reversed(list(zip(between, operands[:-1], strict=False))):
        bracketed = f"{operand} {operator} ({bracketed})"
    assert cesql.compile(flat).evaluate(event) == cesql.compile(bracketed).evaluate(event)


@given(st.text(alphabet="ab%_\\", max_size=10), st.text(alphabet="ab%_\\", max_size=14))
def test_like_agrees_with_a_regular_expression(pattern: str, text: str) -> None:
    expression = ""
    for part in re.findall(r"\\[%_]|.", pattern, re.DOTALL):
        expression += {"%": ".*", "_": "."}.get(part, re.escape(part[-1]))
    compiled = like(pattern)
    expected = re.fullmatch(expression, text, re.DOTALL) is not None
    assert compiled.matches(text) is expected
    if expected:
        assert text.startswith(compiled.prefix)
        assert text.endswith(compiled.suffix)
        assert compiled.exact in (None, text)


@given(st.text(alphabet="aT ()'\"\\,=<>!+-*/%19_ANDORXNOTLIKEISEXISTS\n", max_size=60))
def test_any_text_is_an_expression_or_a_syntax_error_inside_it(text: str) -> None:
    column = 1
    try:
        cesql.compile(text)
    except cesql.CesqlSyntaxError as error:
        column = error.column
    assert 1 <= column <= len(text) + 1


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(["exact", "any", "all", "not", "cesql", "type", "odd"]), inner, max_size=2
            ),
        ),
        max_leaves=8,
    )
)
def test_any_document_is_a_filter_or_faults_with_places(document: Any) -> None:
    event = Event.new(type="t", source="/s")
    if _usable(document):
        parse([document]).matches(event)
    else:
        with pytest.raises(FilterFaults) as caught:
            parse([document])
        assert caught.value.faults
        assert all(fault.path[:2] == ("filters", 0) and fault.message for fault in caught.value.faults)
