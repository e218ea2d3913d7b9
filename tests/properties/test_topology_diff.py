"""A plan leads exactly from one spec to the other, and from a spec to itself there is nothing to do."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from mesh_gateway.topology import diff as diff_module
from mesh_gateway.topology.diff import CHANGED, EFFECTS, Change, Plan, apply, diff
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
from tests.properties.machines import THOROUGH, assert_found

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


# ── a gateway that is reloaded again and again ───────────────────────────────────────────────────

MEMBERS = {"transports": TransportSpec, "brokers": BrokerSpec, "triggers": TriggerSpec, "relays": RelaySpec}

FIELDS = [
    (noun, one.name)
    for noun, kind in MEMBERS.items()
    for one in fields(kind)
    if one.name not in ("name", "namespace")
]
"""Everything that a document may change of an object that stays the same object."""


def other(value: Any) -> Any:
    """Another value for a field: the plan compares values and does not look into them."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return ("other", value)


class ReloadMachine(RuleBasedStateMachine):
    """Documents change bit by bit, several changes are reloaded at once, and some never are."""

    @initialize(spec=specs())
    def begin(self, spec: GatewaySpec) -> None:
        self.running = self.written = spec
        self.touched: dict[tuple[str, str], set[str]] = {}
        """What was written of each object since the last reload: fields, or "" for all of it."""

    def _write(self, noun: str, objects: dict[str, Any]) -> None:
        self.written = replace(self.written, **{noun: objects})  # type: ignore[arg-type]  # each of its own noun

    @rule(which=st.sampled_from(FIELDS), chance=st.integers(0, 1_000))
    def a_field_changes(self, which: tuple[str, str], chance: int) -> None:
        noun, name = which
        objects = dict(getattr(self.written, noun))
        if not objects:
            return
        key = sorted(objects)[chance % len(objects)]
        objects[key] = replace(objects[key], **{name: other(getattr(objects[key], name))})
        self._write(noun, objects)
        self.touched.setdefault((noun, key), set()).add(name)

    @rule(noun=st.sampled_from(sorted(MEMBERS)), chance=st.integers(0, 1_000))
    def an_object_goes(self, noun: str, chance: int) -> None:
        objects = dict(getattr(self.written, noun))
        if objects:
            key = sorted(objects)[chance % len(objects)]
            del objects[key]
            self._write(noun, objects)
            self.touched.setdefault((noun, key), set()).add("")

    @rule(noun=st.sampled_from(sorted(MEMBERS)), source=specs())
    def objects_come(self, noun: str, source: GatewaySpec) -> None:
        before, found = getattr(self.written, noun), getattr(source, noun)
        self._write(noun, {**found, **before})
        for key in found.keys() - before.keys():
            self.touched.setdefault((noun, key), set()).add("")

    @rule()
    def the_change_is_taken_back(self) -> None:
        self.written = self.running
        self.touched.clear()

    @rule()
    def it_is_reloaded(self) -> None:
        plan = diff(self.running, self.written)
        self._is_about_what_was_touched(plan)
        self._says_the_worst_of_its_fields(plan)
        self.running = apply(self.running, plan)
        assert self.running == self.written
        assert not diff(self.running, self.written)
        self.touched.clear()

    def _is_about_what_was_touched(self, plan: Plan) -> None:
        changed = {(change.noun, change.name): set(change.what) for change in plan.changes}
        assert changed.keys() <= self.touched.keys(), "it touches what nobody has changed"
        for key, what in changed.items():
            assert "" in self.touched[key] or what <= self.touched[key]
        for noun, name in self.touched.keys() - changed.keys():
            assert getattr(self.running, noun).get(name) == getattr(self.written, noun).get(name)

    def _says_the_worst_of_its_fields(self, plan: Plan) -> None:
        for change in plan.changes:
            least, most = self._bounds(change)
            assert least <= EFFECTS.index(change.effect) <= most
        worst = max((EFFECTS.index(change.effect) for change in plan.changes), default=0)
        assert EFFECTS.index(plan.effect) == worst

    def _bounds(self, change: Change) -> tuple[int, int]:
        """The worst effect of its fields. What depends on more than the field (`tests/topology/test_diff.py` has each case):
        a transport that no broker lies on, a listener that keeps its address, and whom peers and relays now let in.
        """
        brokers = [*self.running.brokers.values(), *self.written.brokers.values()]
        idle = self.written.transports.keys() - {broker.transport for broker in brokers}
        if change.noun == "transports" and change.name in idle:
            return 0, 0
        rejoin = EFFECTS.index("rejoin group") if change.noun in ("gateway", "relays") else 0
        if change.how != "changed":
            effect = EFFECTS.index("hot" if change.how == "added" else "drain")
            return effect, max(effect, rejoin if change.how == "added" else 0)
        otherwise = "restart" if change.noun == "gateway" else "reset"
        listeners = {"ingress", "admin"} if change.noun == "gateway" else set()
        fields = [
            CHANGED.get((change.noun, name), otherwise) for name in change.what if name not in listeners
        ]
        worst = max(map(EFFECTS.index, fields), default=0)
        if listeners & set(change.what):
            return max(worst, EFFECTS.index("hot")), max(worst, EFFECTS.index("reset"))
        return worst, max(worst, rejoin)


TestReloads = ReloadMachine.TestCase
TestReloads.settings = settings(THOROUGH, max_examples=40)


def test_what_a_change_of_each_field_does_is_said_of_fields_that_exist():
    kinds: dict[str, Any] = {"gateway": GatewaySpec, **MEMBERS}

    for noun, name in CHANGED:
        assert name in {one.name for one in fields(kinds[noun])}, f"{noun} have no {name}"


# ── the machine finds ────────────────────────────────────────────────────────────────────────────


def test_a_plan_that_forgets_what_went_is_found(monkeypatch):
    between = diff_module._between

    def without_removals(noun: Any, old: Any, new: Any) -> Any:
        return (change for change in between(noun, old, new) if change.how != "removed")

    monkeypatch.setattr(diff_module, "_between", without_removals)
    assert_found(ReloadMachine)


def test_a_plan_that_touches_what_is_unchanged_is_found(monkeypatch):
    monkeypatch.setattr(diff_module, "_differing", lambda old, new: ("name",))
    assert_found(ReloadMachine)


def test_a_plan_that_overlooks_fields_is_found(monkeypatch):
    differing = diff_module._differing

    def but_for_some(old: Any, new: Any) -> tuple[str, ...]:
        return tuple(name for name in differing(old, new) if name not in ("broker", "delivery", "options"))

    monkeypatch.setattr(diff_module, "_differing", but_for_some)
    assert_found(ReloadMachine)


def test_a_plan_that_says_the_mildest_effect_is_found(monkeypatch):
    monkeypatch.setattr(
        diff_module, "_worst", lambda effects: min(effects, key=EFFECTS.index, default="none")
    )
    assert_found(ReloadMachine)


def test_a_plan_that_takes_an_unknown_field_for_harmless_is_found(monkeypatch):
    def effect(noun: Any, what: Any) -> str:
        return diff_module._worst(CHANGED.get((noun, name), "none") for name in what)

    monkeypatch.setattr(diff_module, "_effect", effect)
    assert_found(ReloadMachine)
