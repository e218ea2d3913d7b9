"""One status from those of several workers. Pure.

What a worker counts is added up. What a transport was asked for is, of the embedded one, each worker's own and added up; of all others
it is the same thing seen several times, and the largest answer counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Status = Mapping[str, Any]
"""What one worker says of itself."""

WORST = ("False", "Unknown", "True")

TRIGGER_SUMS = ("in_flight", "window", "window_limit", "delivered", "retried", "dead_lettered", "filtered")
RELAY_SUMS = (
    "held", "sent", "accepted", "duplicate", "unwanted", "looped", "refused", "hops", "skipped", "filtered", "dead_lettered"
)  # fmt: skip


def merged(
    statuses: Mapping[int, Status], local: Callable[[str], bool], broker_url: Callable[[str], str]
) -> dict[str, list[dict[str, Any]]]:
    """Transports, brokers, triggers, relays and what was removed, by worker. `local` says of a Broker whether each worker has
    events of its own.
    """
    return {
        "transports": [_transport(name, found) for name, found in _named("transports", statuses)],
        "brokers": [
            {**_broker(found, add=local(name)), "url": broker_url(name)}
            for name, found in _named("brokers", statuses)
        ],
        "triggers": [
            _trigger(found, add=local(_one(found)["broker"])) for _, found in _named("triggers", statuses)
        ],
        "removed": [_removed(found, local) for _, found in _named("removed", statuses, _removal)],
        "relays": [_relay(found, add=local(_one(found)["from"])) for _, found in _named("relays", statuses)],
    }


def _named(
    noun: str, statuses: Mapping[int, Status], key: Callable[[Status], Any] = lambda one: one["name"]
) -> Iterable[tuple[Any, dict[int, Status]]]:
    """What the workers say of each thing, in the order in which it comes up."""
    found: dict[Any, dict[int, Status]] = {}
    for number, status in statuses.items():
        for one in status[noun]:
            found.setdefault(key(one), {})[number] = one
    return found.items()


def _one(found: Mapping[int, Status]) -> Status:
    return next(iter(found.values()))


def _transport(name: str, found: Mapping[int, Status]) -> dict[str, Any]:
    down = [f"worker {number}: {one['detail']}" for number, one in found.items() if not one["up"]]
    drifts = [drift for one in found.values() for drift in one["drift"]]
    return {
        **_one(found),
        "name": name,
        "up": not down,
        "detail": "; ".join(down),
        "drift": [drift for at, drift in enumerate(drifts) if drift not in drifts[:at]],
    }


def _broker(found: Mapping[int, Status], *, add: bool) -> dict[str, Any]:
    return {
        **_one(found),
        "conditions": [_worst(found)],
        "accepted": _sum(found, "accepted"),
        "dead_letters": _waiting(found, "dead_letters", add=add),
    }


def _trigger(found: Mapping[int, Status], *, add: bool) -> dict[str, Any]:
    sums = {name: _sum(found, name) for name in TRIGGER_SUMS}
    parked = _waiting(found, "parked", add=add)
    return {
        **_one(found),
        **sums,
        "conditions": [_worst(found)],
        "parked": parked,
        "lag": sums["window"] + (parked or 0),
        "oldest_age": _most(found, "oldest_age"),
        "last_error": _first(found, "last_error"),
    }


def _relay(found: Mapping[int, Status], *, add: bool) -> dict[str, Any]:
    failures: Counter[str] = Counter()
    for one in found.values():
        failures.update(one["failures"])
    return {
        **_one(found),
        **{name: _sum(found, name) for name in RELAY_SUMS},
        "mode": _first(found, "mode"),
        "place": _first(found, "place"),
        "conditions": [_worst(found)],
        "backlog": _waiting(found, "backlog", add=add),
        "oldest_age": _most(found, "oldest_age"),
        "failures": dict(failures),
        "last_error": _first(found, "last_error"),
        "last_success": _most(found, "last_success"),
    }


def _removal(one: Status) -> tuple[str, str, str]:
    return one["kind"], one["name"], one["broker"]


def _removed(found: Mapping[int, Status], local: Callable[[str], bool]) -> dict[str, Any]:
    one = _one(found)
    return {
        **one,
        "backlog": _waiting(found, "backlog", add=local(one["broker"])),
        "oldest_age": _most(found, "oldest_age"),
        "since": min(one["since"] for one in found.values()),
    }


def _worst(found: Mapping[int, Status]) -> dict[str, Any]:
    """The condition of the worker that is worst off; its message names it, if others are better off."""
    conditions = {number: one["conditions"][0] for number, one in found.items()}
    number = min(conditions, key=lambda number: WORST.index(conditions[number]["status"]))
    worst: dict[str, Any] = dict(conditions[number])
    if any(one["status"] != worst["status"] for one in conditions.values()):
        worst["message"] = f"worker {number}: {worst['message'] or worst['reason']}"
    return worst


def _told(found: Mapping[int, Status], name: str) -> Sequence[Any]:
    return [one[name] for one in found.values() if one[name] is not None]


def _sum(found: Mapping[int, Status], name: str) -> int:
    return sum(_told(found, name))


def _waiting(found: Mapping[int, Status], name: str, *, add: bool) -> int | None:
    told = _told(found, name)
    return None if not told else sum(told) if add else max(told)


def _most(found: Mapping[int, Status], name: str) -> Any:
    return max(_told(found, name), default=None)


def _first(found: Mapping[int, Status], name: str) -> Any:
    """The first that says anything."""
    return next((one[name] for one in found.values() if one[name]), _one(found)[name])
