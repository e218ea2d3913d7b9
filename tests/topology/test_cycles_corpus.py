"""Two hundred made-up meshes of one to four gateways: every ring that an event can go round is found, and no other.

What is expected is worked out from the same dice by other means: rings by walking, filters by asking every event of a
small world that has a representative of whatever these filters can tell apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Any

from mesh_gateway.topology.load import Source, load_each
from tests.topology.harness import KINDS

MESHES = 200

Event = dict[str, str]
Passes = Callable[[Event], bool]

WORLD: list[Event] = [
    {"type": kind, "source": source, **({"subject": subject} if subject else {})}
    for kind, source, subject in product(
        [
            *("order.created", "order.paid", "pay.done", "other", "order.other", "pay.other"),
            *("other.created", "order.other.created", "pay.other.created"),
        ],
        ["/eu/1", "/us/1", "/eu/other", "/us/other", "/other"],
        ["", "vip", "other"],
    )
]


def simple(dice: Random) -> tuple[Any, Passes]:
    """One entry of `filters`, and what it means."""
    kind = dice.choice(["order.created", "order.paid", "pay.done"])
    head = dice.choice(["order.", "pay."])
    place = dice.choice(["/eu/", "/us/"])
    choices: list[tuple[Any, Passes]] = [
        ({"exact": {"type": kind}}, lambda event: event["type"] == kind),
        ({"prefix": {"type": head}}, lambda event: event["type"].startswith(head)),
        ({"suffix": {"type": ".created"}}, lambda event: event["type"].endswith(".created")),
        ({"prefix": {"source": place}}, lambda event: event["source"].startswith(place)),
        ({"exact": {"source": place + "1"}}, lambda event: event["source"] == place + "1"),
        ({"exact": {"subject": "vip"}}, lambda event: event.get("subject") == "vip"),
        (
            {"cesql": f"type LIKE '{head}%' AND source != '{place}1'"},
            lambda event: event["type"].startswith(head) and event["source"] != place + "1",
        ),
        (
            {"cesql": f"EXISTS subject OR type IN ('{kind}', 'pay.done')"},
            lambda event: "subject" in event or event["type"] in (kind, "pay.done"),
        ),
        ({"cesql": "subject <> 'vip'"}, lambda event: event.get("subject", "vip") != "vip"),
    ]
    return dice.choice(choices)


def entry(dice: Random, depth: int = 2) -> tuple[Any, Passes]:
    shape = dice.choice(["simple", "simple", "all", "any", "not"]) if depth else "simple"
    if shape == "simple":
        return simple(dice)
    if shape == "not":
        inner, passes = entry(dice, depth - 1)
        return {"not": inner}, lambda event: not passes(event)
    parts = [entry(dice, depth - 1) for _ in range(dice.randint(2, 3))]
    together = all if shape == "all" else any
    return {shape: [part for part, _ in parts]}, lambda event: together(passes(event) for _, passes in parts)


@dataclass(frozen=True)
class Link:
    name: str
    relay: bool
    source: tuple[int, int]
    target: tuple[int, int]
    passed: frozenset[int]
    """Which events of the world go over it."""
    document: dict[str, Any]


def made_mesh(seed: int) -> tuple[list[list[Source]], list[Link]]:
    """The files of each gateway, and what hands events on in them."""
    dice = Random(seed)
    gateways = dice.randint(1, 4)
    brokers = [(i, j) for i in range(gateways) for j in range(dice.choice([1, 1, 2]))]
    links = [made_link(dice, brokers, n) for n in range(dice.randint(5, 11))]
    files = []
    for i in range(gateways):
        documents = [
            {
                "apiVersion": "mesh-gateway.dev/v1alpha1",
                "kind": "Gateway",
                "metadata": {"name": "edge"},
                "spec": {"cluster": f"c{i}", "ingress": ingress(i)},
            },
            *(document("eventing.knative.dev/v1", "Broker", f"b{j}", {}) for at, j in brokers if at == i),
            *(link.document for link in links if link.source[0] == i),
        ]
        files.append([Source(f"c{i}.yaml", "\n---\n".join(map(json.dumps, documents)))])
    return files, links


def ingress(i: int) -> dict[str, str]:
    """By turns known by a public address, and by where it listens."""
    if i % 2:
        return {"listen": "0.0.0.0:8080", "url": f"https://c{i}.example/in"}
    return {"listen": f"127.0.0.1:{9000 + i}"}


def address(place: tuple[int, int]) -> str:
    i, j = place
    return f"https://c{i}.example/in/mesh/b{j}" if i % 2 else f"http://127.0.0.1:{9000 + i}/mesh/b{j}"


def document(version: str, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": "mesh"},
        "spec": spec,
    }


def made_link(dice: Random, brokers: list[tuple[int, int]], n: int) -> Link:
    source, target = dice.choice(brokers), dice.choice(brokers)
    relay = source != target and dice.random() < 0.75
    entries = [entry(dice) for _ in range(dice.choice([0, 0, 1, 1, 1, 2]))]
    inside = source[0] == target[0] and dice.random() < 0.5
    to = {"ref": {"kind": "Broker", "name": f"b{target[1]}"}} if inside else {"uri": address(target)}
    spec: dict[str, Any] = {"filters": [part for part, _ in entries]}
    if relay:
        auth = {} if inside else {"auth": {"bearer": {"valueFrom": {"env": "T"}}}}
        spec |= {"from": f"b{source[1]}", "to": to, **auth}
        made = document("mesh-gateway.dev/v1alpha1", "Relay", f"h{n}", spec)
    else:
        spec |= {"broker": f"b{source[1]}", "subscriber": to}
        made = document("eventing.knative.dev/v1", "Trigger", f"h{n}", spec)
    passed = {i for i, event in enumerate(WORLD) if all(passes(event) for _, passes in entries)}
    return Link(f"h{n}", relay, source, target, frozenset(passed), made)


def walked(links: list[Link]) -> Iterator[list[Link]]:
    """Every ring through a relay that visits no broker twice, from each of its links."""

    def on(way: list[Link]) -> Iterator[list[Link]]:
        if way[-1].target == way[0].source:
            yield way
        elif way[-1].target not in [link.source for link in way]:
            for link in links:
                if link.source == way[-1].target:
                    yield from on([*way, link])

    for link in links:
        yield from (way for way in on([link]) if any(one.relay for one in way))


def turned(names: list[str]) -> tuple[str, ...]:
    """A ring from its first name, so that it is the same from wherever it is told."""
    first = names.index(min(names))
    return tuple(names[first:] + names[:first])


def said(files: list[list[Source]]) -> list[tuple[str, ...]]:
    """The rings that lint names, by the names of what they lead over."""
    loads = load_each(files, environment={"T": "t0ken"}, kinds=KINDS)
    assert all(one.spec is not None for one in loads)
    messages = [fault.message for one in loads for fault in one.faults if fault.code == "MG047"]
    return [turned([hop.partition("/")[2] for hop in message.split(" → ")[1::2]]) for message in messages]


def test_every_ring_is_found_and_no_false_alarm_is_raised():
    overlapping = disjoint = 0
    for seed in range(MESHES):
        files, links = made_mesh(seed)
        every = {turned([link.name for link in way]): way for way in walked(links)}
        expected = {
            names for names, way in every.items() if frozenset.intersection(*(link.passed for link in way))
        }

        found = said(files)

        assert sorted(found) == sorted(expected), f"mesh {seed}"
        overlapping += len(expected)
        disjoint += len(every) - len(expected)

    assert overlapping >= MESHES / 2
    assert disjoint >= MESHES / 2
