"""A plan leads exactly from one spec to the other, and from a spec to itself there is nothing to do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.topology.diff import EFFECTS, apply, diff
from mesh_gateway.topology.spec import (
    AdminSpec,
    BrokerDestination,
    BrokerSpec,
    DeliverySpec,
    GatewaySpec,
    HttpDestination,
    IngressSpec,
    PeerSpec,
    RelaySpec,
    Secret,
    TransportSpec,
    TriggerSpec,
)

names = st.sampled_from(["a", "b", "c", "d"])
destinations = st.one_of(
    st.builds(
        HttpDestination, url=names.map("http://{}/".format), bearer=st.none() | st.builds(Secret, names)
    ),
    st.builds(BrokerDestination, names.map("default/{}".format)),
)
deliveries = st.builds(DeliverySpec, retry=st.integers(0, 3), dead_letter_sink=st.none() | destinations)


@st.composite
def specs(draw: st.DrawFn) -> GatewaySpec:
    """Specs of few names, so that two of them have much in common."""
    transports = [
        TransportSpec(name, draw(names), options={"x": draw(names)}) for name in draw(st.sets(names))
    ]
    brokers = [BrokerSpec("default", name, draw(names)) for name in draw(st.sets(names))]
    triggers = [
        TriggerSpec(
            "default",
            name,
            draw(names),
            draw(destinations),
            draw(deliveries),
            order=draw(st.sampled_from(["unordered", "ordered"])),
        )
        for name in draw(st.sets(names))
    ]
    relays = [
        RelaySpec("default", name, draw(names), draw(destinations), draw(deliveries))
        for name in draw(st.sets(names))
    ]
    return GatewaySpec(
        name=draw(names),
        ingress=IngressSpec(port=draw(st.integers(1, 3))),
        admin=AdminSpec(token=draw(st.none() | st.builds(Secret, names))),
        transports={one.name: one for one in transports},
        brokers={one.key: one for one in brokers},
        triggers={one.key: one for one in triggers},
        peers=tuple(PeerSpec(name) for name in draw(st.sets(names))),
        relays={one.key: one for one in relays},
        digest=draw(names),
    )


@given(specs() | st.none(), specs())
def test_applying_the_plan_from_one_to_the_other_gives_the_other(old: GatewaySpec | None, new: GatewaySpec):
    assert apply(old, diff(old, new)) == new


@given(specs())
def test_from_a_spec_to_itself_there_is_nothing_to_do(spec: GatewaySpec):
    assert not diff(spec, spec)


@given(specs(), specs())
def test_every_change_is_about_something_that_differs_and_has_an_effect(old: GatewaySpec, new: GatewaySpec):
    for change in diff(old, new).changes:
        assert change.effect in EFFECTS
        if change.noun == "gateway":
            continue
        before, after = getattr(old, change.noun).get(change.name), getattr(new, change.noun).get(change.name)
        assert before != after
        assert change.how == ("added" if before is None else "removed" if after is None else "changed")
        assert all(getattr(before, name) != getattr(after, name) for name in change.what)


@given(specs(), specs())
def test_the_way_back_undoes_the_way_there(old: GatewaySpec, new: GatewaySpec):
    there, back = diff(old, new), diff(new, old)

    assert apply(apply(old, there), back) == old
    assert len(there.changes) == len(back.changes)
