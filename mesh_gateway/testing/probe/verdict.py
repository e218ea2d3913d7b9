"""The verdict on a history: pass, anomaly, or invalid because the run proves nothing.

A run counts only if the load reached every trigger and the faults bit: a kill while nothing was under way is no
kill. "Nothing was checked" is never a pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from mesh_gateway.testing.probe import history, plan
from mesh_gateway.testing.probe.checker import Anomaly, Facts, anomalies
from mesh_gateway.testing.probe.checker.deliveries import causes, ends
from mesh_gateway.testing.probe.checker.facts import Sent, Window
from mesh_gateway.testing.probe.checker.latency import latencies

Word = Literal["pass", "anomaly", "invalid"]

EXIT: dict[Word, int] = {"pass": 0, "anomaly": 1, "invalid": 3}
"""With which code the process ends."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run has shown."""

    word: Word
    anomalies: list[Anomaly]
    invalid: list[str]
    """Why the run does not count; empty if it does."""
    counts: dict[str, Any]
    latencies: dict[str, dict[str, Any]]

    @property
    def exit_code(self) -> int:
        return EXIT[self.word]

    def document(self) -> dict[str, Any]:
        """For `-o json`."""
        return {
            "verdict": self.word,
            "anomalies": [one.document() for one in self.anomalies],
            "invalid": self.invalid,
            "counts": self.counts,
            "latency_ms": self.latencies,
        }


def judge(directory: Path) -> Verdict:
    """The verdict on a history that was kept. Raises `BadHistory`."""
    return verdict(Facts(plan.load(directory), history.read(directory)))


def verdict(facts: Facts) -> Verdict:
    """An anomaly is one even in a run that would not count as a pass."""
    found = anomalies(facts)
    lacking = list(_lacking(facts))
    word: Word = "anomaly" if found else "invalid" if lacking else "pass"
    return Verdict(word, found, lacking, counts(facts), latencies(facts))


def counts(facts: Facts) -> dict[str, Any]:
    """What was sent, what came, and what was done to it."""
    said = Counter(
        one.said
        for sent in facts.sent.values()
        for tries in sent.attempts.values()
        for one in tries
        if one.invoke["op"] == "invoke"
    )
    return {
        "sent": sum(1 for sent in facts.sent.values() if sent.key),
        "acknowledged": sum(1 for sent in facts.sent.values() if sent.acknowledged is not None),
        "requests": {word: said[word] for word in ("ok", "fail", "info")},
        "deliveries": sum(len(some) for some in facts.got.values()),
        "dead_letters": sum(len(some) for some in facts.letters.values()),
        "ended": {trigger: ends(facts)[trigger] for trigger in facts.triggers},
        "again": {cause: len(some) for cause, some in causes(facts).items()},
        "faults": dict(Counter(window.name for window in facts.windows)),
        "bit": dict(Counter(window.name for window in facts.windows if bit(facts, window))),
        "seconds_to_ready": max((record["seconds"] for record in facts.of["ready"]), default=None),
    }


# ── does the run count? ──────────────────────────────────────────────────────────────────────


def _lacking(facts: Facts) -> Iterator[str]:
    if heard := _unheard(facts):
        where = "" if facts.plan.own else f"; is a Broker served at {facts.plan.broker}?"
        yield f"no event was acknowledged; most requests ended with: {heard}{where}"
    ended = ends(facts)
    for trigger in facts.triggers.values():
        if ended[trigger.name] < trigger.least:
            yield f"only {ended[trigger.name]} events came to their end at {trigger.name}; {trigger.least} are needed"
    done = Counter(window.name for window in facts.windows)
    for name in facts.plan.faults:
        if not done[name]:
            yield f"the fault {name} never happened; give the run more seconds"
        elif not any(bit(facts, window) for window in facts.windows if window.name == name):
            yield f"the fault {name} happened {done[name]} times and never met anything under way"
    for record in facts.of["command"]:
        if record["code"] != 0:
            yield f"a fault's command ended with {record['code']}: {record['said'].strip()}"
    if facts.plan.own and not facts.of["rest"]:
        yield "what is left on the transport was not read"
    if not facts.of["quiesce"]:
        yield "the run was cut off before everything had come to its end"


def _unheard(facts: Facts) -> str:
    """What senders heard most often, where none of them heard 202; else empty."""
    if any(sent.acknowledged for sent in facts.sent.values()):
        return ""
    tries = (one for sent in facts.sent.values() for some in sent.attempts.values() for one in some)
    heard = Counter(
        str(one.outcome.get("why") or f"status {one.outcome['code']}")
        for one in tries
        if one.outcome is not None
    )
    return heard.most_common(1)[0][0] if heard else ""


def bit(facts: Facts, window: Window) -> bool:
    """Whether the fault met something under way."""
    if window.name == "kill":
        return any(_unknown_at(sent, window.on["t"]) for sent in facts.sent.values())
    if window.name in ("letters", "collapse"):
        return _buried_late(facts, window)
    if window.name == "subscriber":
        return _delivered_late(facts, window)
    if window.name == "reload":
        return _retried_across(facts, window)
    return any(_sent_across(sent, window) for sent in facts.sent.values())


def _unknown_at(sent: Sent, moment: int) -> bool:
    """Whether a request was on its way at that moment and its sender was never told: a commit was in progress."""
    return any(
        one.said == "info" and one.invoke["t"] <= moment <= (one.outcome or one.invoke)["t"]
        for tries in sent.attempts.values()
        for one in tries
    )


def _sent_across(sent: Sent, window: Window) -> bool:
    """Whether it was on its way to the gateway when the fault began, or sent while it was on and told of later."""
    told = sent.acknowledged
    return told is not None and bool(sent.begun <= window.end and told["t"] >= window.on["t"])


def _delivered_late(facts: Facts, window: Window) -> bool:
    """An event that was acknowledged before or during the outage was delivered, or buried, after the outage began to
    be over.
    """
    for (_, ev), some in facts.got.items():
        told = facts.sent[ev].acknowledged
        if told is not None and window.on["t"] <= told["t"] <= window.end <= some[0].t:
            return True
    return any(
        letter.taken and window.on["t"] <= letter.t <= window.end + 10**9
        for letters in facts.letters.values()
        for letter in letters
    )


def _buried_late(facts: Facts, window: Window) -> bool:
    """A copy that was refused while the dead letter sink was away got its letter all the same."""
    for where, letters in facts.letters.items():
        for letter in letters:
            tries = [got for got in facts.got.get(where, ()) if got.copy == letter.copy]
            if letter.taken and any(window.on["t"] <= got.t <= window.end for got in tries):
                return True
    return False


def _retried_across(facts: Facts, window: Window) -> bool:
    """A copy had failed before the fault and was tried again after it."""
    return any(
        not one.taken and one.t < window.on["t"] < again.t
        for some in facts.got.values()
        for one, again in pairwise(some)
    )
