"""Loops between brokers."""

from __future__ import annotations

from tests.topology.harness import BROKER, codes, loaded, to_billing, trigger


def link(source: str, target: str, filters: str = "[]", name: str = "") -> str:
    document = trigger(
        f"filters: {filters}, subscriber: {{ref: {{kind: Broker, name: {target}}}}}",
        name or f"{source}-{target}",
    )
    return document.replace("broker: orders", f"broker: {source}")


def brokers(*names: str) -> list[str]:
    return [BROKER.replace("orders", name) for name in names]


def ways(*documents: str) -> list[str]:
    found = loaded(*documents)
    assert found.spec is not None
    assert set(codes(found)) <= {"MG040"}
    return [fault.message.partition("spent: ")[2] for fault in found.faults]


def test_a_circle_is_named_once_with_its_whole_way():
    assert ways(*brokers("a", "b", "c"), link("a", "b"), link("b", "c"), link("c", "a")) == [
        "default/a → trigger default/a-b → default/b → trigger default/b-c → default/c → trigger default/c-a → default/a"
    ]


def test_a_chain_is_no_circle():
    assert ways(*brokers("a", "b", "c"), link("a", "b"), link("b", "c"), link("a", "c")) == []


def test_a_trigger_into_its_own_broker_is_a_circle():
    assert len(ways(*brokers("a"), link("a", "a"))) == 1


def test_filters_that_exclude_each_other_anywhere_on_the_way_break_it():
    out = link("a", "b", "[{exact: {type: order}}]")
    back = link("c", "a", "[{exact: {type: alarm}}]")

    assert ways(*brokers("a", "b", "c"), out, link("b", "c"), back) == []
    assert (
        len(ways(*brokers("a", "b", "c"), out, link("b", "c"), link("c", "a", "[{prefix: {type: ord}}]")))
        == 1
    )


def test_two_circles_through_one_broker_are_two_warnings():
    assert (
        len(ways(*brokers("a", "b", "c"), link("a", "b"), link("b", "a"), link("a", "c"), link("c", "a")))
        == 2
    )


def test_dead_letters_can_close_a_circle():
    letters = trigger(
        to_billing("delivery: {deadLetterSink: {ref: {kind: Broker, name: b}}}"), "letters"
    ).replace("broker: orders", "broker: a")

    (way,) = ways(*brokers("a", "b"), letters, link("b", "a"))

    assert "trigger default/letters (dead letters)" in way


def test_a_dense_graph_is_given_up_before_it_takes_long():
    names = [f"b{i}" for i in range(14)]
    links = [link(one, other) for one in names for other in names if one != other]

    found = loaded(*brokers(*names), *links)

    assert 0 < len(found.faults) < 20_000
