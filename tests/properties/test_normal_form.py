"""The normal form of filters held against every event of a small world.

The world has all texts of `a` and `b` up to three letters, and each pair of a beginning and an end that filters here ask
for with `c` between them, a letter that no filter knows. Whatever the filters can tell apart is in it, so they
pass something exactly when they pass something here.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_gateway.event import Event
from mesh_gateway.filters.dialects import Filter, parse
from mesh_gateway.filters.disjoint import disjoint
from mesh_gateway.filters.normal import ANYTHING, normal_form

WORDS = ["a", "b", "ab", "ba"]
TEXTS = [
    *("".join(letters) for n in range(1, 4) for letters in product("ab", repeat=n)),
    *(f"{begin}c{end}" for begin in ("", *WORDS) for end in ("", *WORDS)),
]
WORLD = [
    Event.new(type=kind, source="/s", id="1").with_attributes({"subject": subject})
    for kind in TEXTS
    for subject in (None, *TEXTS)
]

words = st.sampled_from(WORDS)
names = st.sampled_from(["type", "type", "subject"])

comparisons = st.tuples(
    st.sampled_from(["exact", "prefix", "suffix"]), st.dictionaries(names, words, min_size=1, max_size=2)
).map(lambda t: {t[0]: t[1]})


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        several.map(lambda some: {"all": some}),
        several.map(lambda some: {"any": some}),
        inner.map(lambda one: {"not": one}),
    )


plain = st.recursive(comparisons, nested, max_leaves=6)

atoms = st.one_of(
    st.tuples(names, st.sampled_from(["=", "!=", "<>"]), words).map(lambda t: f"{t[0]} {t[1]} '{t[2]}'"),
    st.tuples(names, st.sampled_from(["IN", "NOT IN"]), st.lists(words, min_size=1, max_size=3)).map(
        lambda t: f"{t[0]} {t[1]} ({', '.join(repr(word) for word in t[2])})"
    ),
    st.tuples(names, st.sampled_from(["LIKE", "NOT LIKE"]), words, words).map(
        lambda t: f"{t[0]} {t[1]} '{t[2]}%{t[3]}'"
    ),
    st.tuples(names, st.sampled_from(["LIKE", "NOT LIKE"]), st.sampled_from(["%", "%a", "b%", "ab"])).map(
        lambda t: f"{t[0]} {t[1]} '{t[2]}'"
    ),
    names.map("EXISTS {}".format),
    st.sampled_from(["TRUE", "FALSE"]),
)
odd = st.sampled_from(
    ["type LIKE 'a_'", "type LIKE '%a%b'", "LENGTH(subject) = 2", "subject", "subject < 3", "'a' = type"]
)


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda one: f"NOT ({one})"),
    )


expressions = st.recursive(atoms, joined, max_leaves=5).map(lambda text: {"cesql": text})
exact = st.recursive(st.one_of(comparisons, expressions), nested, max_leaves=5)
loose = st.recursive(
    st.one_of(
        comparisons,
        st.recursive(st.one_of(atoms, odd), joined, max_leaves=5).map(lambda text: {"cesql": text}),
    ),
    nested,
    max_leaves=5,
)


def some_event_passes(filters: list[Filter]) -> bool:
    return any(all(one.matches(event) for one in filters) for event in WORLD)


@given(st.lists(plain, min_size=1, max_size=4))
def test_filters_without_expressions_are_disjoint_exactly_when_nothing_passes_all(
    documents: list[Any],
) -> None:
    filters = [parse([document]) for document in documents]

    assert disjoint(*filters) is not some_event_passes(filters)


@given(st.lists(exact, min_size=1, max_size=3))
def test_so_are_those_whose_expressions_compare_texts(documents: list[Any]) -> None:
    filters = [parse([document]) for document in documents]

    assert disjoint(*filters) is not some_event_passes(filters)


@given(st.lists(loose, min_size=1, max_size=3))
def test_whatever_an_expression_says_what_is_called_disjoint_lets_nothing_pass(documents: list[Any]) -> None:
    filters = [parse([document]) for document in documents]

    if disjoint(*filters):
        assert not some_event_passes(filters)


typed = st.one_of(
    st.integers(-3, 3), st.booleans(), st.sampled_from(["3", "03", "+3", "true", "TRUE", "x", "-3"])
)
quoted = st.sampled_from(["3", "03", "+3", "true", "TRUE", "x", "-3", "0"])
of_extensions = st.recursive(
    st.one_of(
        st.tuples(st.sampled_from(["=", "!="]), quoted).map(lambda t: f"hop {t[0]} '{t[1]}'"),
        st.tuples(st.sampled_from(["IN", "NOT IN"]), st.lists(quoted, min_size=1, max_size=3)).map(
            lambda t: f"hop {t[0]} ({', '.join(repr(word) for word in t[1])})"
        ),
        quoted.map(lambda word: f"hop LIKE '{word}%'"),
        st.sampled_from(["EXISTS hop", "hop", "hop = 3", "hop = TRUE"]),
    ),
    joined,
    max_leaves=4,
)


@given(
    st.lists(of_extensions, min_size=1, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.none() | typed,
)
def test_an_extension_may_have_come_as_a_number_or_a_boolean(
    expressions: list[str], negated: list[bool], value: Any
) -> None:
    event = Event.new(type="t", source="/s", **({} if value is None else {"hop": value}))
    entries: list[Any] = [{"cesql": text} for text in expressions]
    filters = [parse([{"not": one} if no else one]) for one, no in zip(entries, negated, strict=False)]

    if disjoint(*filters):
        assert not all(one.matches(event) for one in filters)


@settings(max_examples=50)
@given(plain)
def test_what_is_known_of_nothing_lets_anything_pass(document: Any) -> None:
    form = normal_form(parse([document]))

    assert form.without(lambda name: True) == (ANYTHING if form else form)
