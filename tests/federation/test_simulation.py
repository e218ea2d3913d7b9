"""Relays under everything that can happen to them: nothing lost, nothing twice, no circles."""

from __future__ import annotations

from itertools import permutations

import pytest

from mesh_gateway.event import Event
from mesh_gateway.federation.identity import identity
from tests.federation.simulator import Bugs, Trouble, World

Links = list[tuple[str, str]]

PAIR: Links = [("a", "b"), ("b", "a")]
MESH: Links = list(permutations("abc", 2))
RING: Links = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")]
RING_BOTH: Links = RING + [(to, start) for start, to in RING]
DETOUR: Links = [("a", "b"), ("b", "c"), ("a", "c")]
SHAPES = [PAIR, MESH, RING, RING_BOTH, DETOUR]

RUNS = 10_000
PARTS = 10


def events(world: World) -> list[tuple[str, Event]]:
    """Two from each gateway that sends; ids are the same everywhere, only the source differs."""
    senders = dict.fromkeys(start for start, _ in world.links)
    return [
        (name, Event.new(type="t", source=f"/{name}", id=str(number)))
        for name in senders
        for number in (1, 2)
    ]


def reached(links: Links, start: str) -> set[str]:
    """Where an event of `start` has to be in the end."""
    found = {start}
    while more := {to for here, to in links if here in found} - found:
        found |= more
    return found


def faults(world: World, cut: Links | None = None) -> list[str]:
    """Run to the end; what is wrong then."""
    world.cut |= set(cut or [])
    published = events(world)
    for name, event in published:
        world.publish(name, event, at=world.random.uniform(0, 8))
    world.run()
    open_links = [link for link in world.links if link not in world.cut]
    found: list[str] = []
    for name, event in published:
        for gateway in world.gateways.values():
            times = sum(identity(one) == identity(event) for one in gateway.log)
            wanted = int(gateway.name in reached(open_links, name))
            if times != wanted:
                found.append(f"{event.source} {event.id} is {times} times at {gateway.name}, not {wanted}")
        crossings = world.crossings.get(identity(event), 0)
        if crossings > len(world.gateways) - 1:
            found.append(f"{event.source} {event.id} has crossed {crossings} links")
    found += [
        f"dead letter at {gateway.name}: {why}"
        for gateway in world.gateways.values()
        for _, why in gateway.dead_letters
    ]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_happens_every_event_is_everywhere_once(part: int):
    for seed in range(part, RUNS, PARTS):
        assert faults(World(SHAPES[seed // PARTS % len(SHAPES)], seed)) == [], f"seed {seed}"


@pytest.mark.parametrize("links", SHAPES, ids=["pair", "mesh", "ring", "ring both ways", "detour"])
def test_in_quiet_no_event_crosses_more_links_than_there_are_others(links: Links):
    quiet = Trouble(loss=0, doubled=0, partial=0, slowest=0.1, crashes=0)
    for seed in range(100):
        world = World(links, seed, quiet)

        assert faults(world) == [], f"seed {seed}"
        assert max(world.sent.values()) == len(world.gateways) - 1, f"seed {seed}"


def test_an_event_goes_by_a_detour_while_the_straight_way_is_cut():
    for seed in range(100):
        assert faults(World(DETOUR, seed), cut=[("a", "c")]) == [], f"seed {seed}"


@pytest.mark.parametrize(
    ("bugs", "links", "cut"),
    [
        (Bugs(ack_before_commit=True), PAIR, []),
        (Bugs(highest_number=True), PAIR, []),
        (Bugs(floor_is_highest=True), PAIR, []),
        (Bugs(id_alone=True), MESH, []),
        (Bugs(recorded_before_stored=True), PAIR, []),
        (Bugs(visited_is_logged=True), DETOUR, [("a", "c")]),
        (Bugs(no_window=True), PAIR, []),
        (Bugs(no_loop_guard=True), PAIR, []),
        (Bugs(promised_is_durable=True), MESH, []),
        (Bugs(waits_again=True), RING_BOTH, []),
    ],
    ids=lambda value: (
        next((name for name, on in vars(value).items() if on), "none") if isinstance(value, Bugs) else None
    ),
)
def test_a_broken_rule_is_found(bugs: Bugs, links: Links, cut: Links):
    assert any(faults(World(links, seed, bugs=bugs), cut) for seed in range(2_000))
