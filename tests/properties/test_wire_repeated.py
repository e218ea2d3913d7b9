"""A name that stands twice is found however an envelope is laid out: by counting colons as by walking from name to name."""

from __future__ import annotations

import json as stdlib_json
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mesh_gateway.errors import EventError, EventTooLarge, InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.wire import json, repeated

blanks = st.text(" \t\n\r", max_size=3)
odd = st.text(st.sampled_from('a:,{}[]"\\ \n\t\u007f\u017e\U0001f600'), max_size=6)
names = st.sampled_from(
    ["id", "type", "data", "data_base64", "subject", "a", "b", "a:", ":", "", " ", "\u017e"]
)


@st.composite
def spelled(draw: st.DrawFn, text: str) -> str:
    """A JSON string, each of its characters as it is or escaped."""
    ascii = draw(st.booleans())
    written = []
    for character in text:
        if ord(character) < 0x10000 and draw(st.integers(0, 3)) == 0:
            written.append(f"\\u{ord(character):04x}")
        else:
            written.append(stdlib_json.dumps(character, ensure_ascii=ascii)[1:-1])
    return '"' + "".join(written) + '"'


@st.composite
def laid_out(draw: st.DrawFn, pieces: Sequence[str]) -> str:
    """The pieces of a text, with any white space between them, or none at all."""
    if draw(st.booleans()):
        return "".join(pieces)
    return "".join(draw(blanks) + piece for piece in pieces) + draw(blanks)


def between(parts: Sequence[Sequence[str]]) -> list[str]:
    return [piece for number, part in enumerate(parts) for piece in ([","] if number else []) + [*part]]


@st.composite
def objects(draw: st.DrawFn, members: st.SearchStrategy[list[tuple[str, str]]]) -> str:
    """The text of an object whose members have these names and JSON texts."""
    parts = [[draw(spelled(name)), ":", value] for name, value in draw(members)]
    return draw(laid_out(["{", *between(parts), "}"]))


scalars = st.sampled_from(["null", "true", "-1.5e3", "12345678901234567890"])
values = st.recursive(
    scalars | odd.flatmap(spelled),
    lambda inner: (
        st.lists(inner, max_size=3).flatmap(
            lambda found: laid_out(["[", *between([[v] for v in found]), "]"])
        )
        | objects(st.lists(st.tuples(names, inner), max_size=3))
    ),
    max_leaves=4,
)
any_object = objects(st.lists(st.tuples(names, values), max_size=4))


def names_of(text: str) -> list[str]:
    """What Python's own reader finds, repeated ones as well."""
    found: list[list[str]] = []

    def pairs(given: list[tuple[str, object]]) -> None:
        found.append([name for name, _ in given])

    stdlib_json.loads(text, object_pairs_hook=pairs)
    return found[-1]  # the outermost ends last


@given(any_object)
@example('{"a:":1,"a\\u003a":2}')
@example('{"\\u003a":1,"a":2,"a":3}')
@example('{"a":":::","a":1}')
@example('{"a":1,"a":{"b":":"}}')
@example('{"a":{"id":1},"id":2,"\\u0069d":3}')
def test_a_name_that_stands_twice_is_refused_and_no_other(text: str):
    members = msgspec.json.decode(text, type=repeated.Members)
    body = text.encode()
    named = names_of(text)

    for refuse in (repeated.check, repeated.walk):
        if len(set(named)) == len(named):
            refuse(members, body)
        else:
            with pytest.raises(InvalidEvent, match="stands more than once"):
                refuse(members, body)


@given(st.lists(any_object, max_size=2))
@example(['{"a":1,"b":[{"c":1,"c":2}]}', '{"":":"}'])
@example(['{"a":1,"a":2}', '{"b":":"}'])
@example(['{"a":1,"\\u0061":2}', "{}"])
@example(['{"é":1,"é":22}'])
def test_it_never_says_none_of_objects_that_have_one_and_always_of_usual_ones(texts: list[str]):
    each = [msgspec.json.decode(text, type=repeated.Members) for text in texts]
    named = [names_of(text) for text in texts]
    sole = all(len(set(found)) == len(found) for found in named)
    usual = not any(":" in name for found in named for name in found)

    body = f"[{','.join(texts)}]".encode()
    none = repeated.none(each, body, body.count(b":"))

    assert sole or not none
    assert none or not (sole and usual)


required = [("specversion", '"1.0"'), ("source", '"/s"'), ("id", '"1"'), ("type", '"t"')]
more = st.lists(st.tuples(names | st.sampled_from(["ext", "time", "datacontenttype"]), values), max_size=3)
envelopes = objects(
    st.tuples(st.permutations(required), more).map(lambda both: [*both[0], *both[1]])
    | st.permutations(required)
    | st.lists(st.tuples(names, values), max_size=3)
)


@given(st.data())
def test_a_batch_is_read_as_each_of_its_events_by_itself(data: st.DataObject):
    texts = data.draw(st.lists(envelopes, max_size=4))
    body = data.draw(laid_out(["[", *between([[text] for text in texts]), "]"])).encode()
    most = data.draw(st.sampled_from([60, 100, 1_000]))

    together = json.decode_each(body, 10, most)

    with pytest.MonkeyPatch.context() as slowly:
        slowly.setattr(json, "_plain_members", lambda body, max_events: None)
        slowly.setattr(repeated, "check", repeated.walk)
        assert [told(one) for one in together] == [told(one) for one in json.decode_each(body, 10, most)]


def told(one: Event | EventError) -> object:
    if isinstance(one, Event):
        return dict(one.attributes), one.data, one.kinds
    return (type(one), one.faults) if isinstance(one, InvalidEvent) else (type(one), str(one))


@given(st.lists(objects(st.permutations(required)), min_size=1, max_size=4), blanks)
def test_a_batch_of_usual_events_is_read_in_one_pass_whatever_its_layout(texts: list[str], blank: str):
    body = ("[" + f"{blank},".join(texts) + "]").encode()

    with pytest.MonkeyPatch.context() as without:
        without.setattr(json, "_array", None)
        assert all(isinstance(one, Event) for one in json.decode_each(body, 10, len(body)))


@pytest.mark.parametrize("too_large", [False, True])
def test_a_member_of_a_long_batch_is_measured_by_itself(too_large: bool):
    one = stdlib_json.dumps({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}, indent=2)
    found = json.decode_each(f"[{one} ,\n {one}]".encode(), 10, len(one) - too_large)

    assert [isinstance(event, EventTooLarge) for event in found] == [too_large, too_large]
