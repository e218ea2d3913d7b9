"""A history in a few words: what a run would have noted, line by line, a millisecond apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mesh_gateway.testing.probe.checker import Facts, anomalies
from mesh_gateway.testing.probe.plan import EVENT, REPLY, Plan, TriggerPlan

MILLISECOND = 1_000_000

A = TriggerPlan("a", "", ((("type", "begins", EVENT), ("pbtier", "is not", "none")),), "accept", letters=True, retry=2, least=1,
                other=("", ((("pbtier", "is", "none"),),)))  # fmt: skip
ORDERED = TriggerPlan(
    "o", "", ((("type", "ends", ".ordered"),),), "accept", letters=True, ordered=True, least=0
)
ASKING = TriggerPlan("asking", "", ((("type", "ends", ".ask"),),), "reply", letters=True, least=0)
ANSWERED = TriggerPlan("answered", "", ((("type", "is", REPLY),),), "accept", least=0)

E1, E2, E3 = (f"s1/k0/{number}" for number in (1, 2, 3))


class Story:
    """Tells a history; every word is one line or two."""

    def __init__(self, **plan: Any) -> None:
        self.plan = Plan(**{"triggers": (A, ORDERED, ASKING, ANSWERED), **plan})
        self.lines: list[dict[str, Any]] = []
        self._moment = 0
        self._numbers: Counter[object] = Counter()

    def line(self, op: str, process: str = "nemesis", **facts: Any) -> None:
        self._moment += MILLISECOND
        self.lines.append({"t": self._moment, "p": process, "op": op, "_at": f"story:{len(self.lines) + 1}", **facts})  # fmt: skip

    def wait(self, seconds: float) -> None:
        self._moment += int(seconds * 1_000 * MILLISECOND)

    def send(
        self, ev: str = E1, said: str | None = "ok", att: str = "1", kind: str = "x", **more: str
    ) -> None:
        """A sender sends, and is told; None = it never heard."""
        sender, key, seq = ev.split("/")
        self.invoke(ev, att, kind, sender=sender, key=key, seq=int(seq), **more)
        if said is not None:
            self.told(ev, said, att)

    def invoke(self, ev: str, att: str, kind: str, sender: str, key: str, seq: int, **more: str) -> None:
        attributes = {"type": EVENT + kind, **more}
        self.line(
            "invoke", sender, ev=ev, att=att, key=key, seq=seq, hash=f"#{ev}", a=attributes, large=False
        )

    def told(self, ev: str, said: str, att: str = "1") -> None:
        code = {"ok": 202, "fail": 400, "info": 0}[said]
        self.line(said, ev.partition("/")[0], ev=ev, att=att, code=code)

    def got(
        self, trigger: str, ev: str = E1, how: str | None = "accept", code: int = 202, att: str = "1", hash: str = "", **more: Any
    ) -> None:  # fmt: skip
        """A subscriber gets a copy, and answers; `how` None = it was killed before."""
        self._numbers[trigger, ev, att] += 1
        at = {"ev": ev, "att": att, "trig": trigger, "n": self._numbers[trigger, ev, att]}
        if how == "reply":
            replied = f"asking/{ev.replace('/', '.', 1)}"
            answer: dict[str, Any] = {"reply": replied, "rehash": f"#{replied}", "reid": "re", "reatt": f"{att}.{at['n']}"}  # fmt: skip
        else:
            answer = {}
        self.line("recv", f"sink-{trigger}", **at, hash=hash or f"ok #{ev}", **more)
        if how is not None:
            self.line("answer", f"sink-{trigger}", **at, how=how, code=code, **answer)

    def replied(self, ev: str = E1, id: str = "re", att: str = "1.1") -> None:
        """The trigger that wants replies gets the one to `ev`."""
        self.got("answered", f"asking/{ev.replace('/', '.', 1)}", att=att, cause=ev, id=id)

    def letter(
        self, trigger: str = "a", ev: str = E1, *, stored: bool = False, how: str = "accept", **said: Any
    ) -> None:
        """The dead letter sink gets one, or one lies in the broker's channel."""
        facts = {"ev": ev, "att": "1", "trig": trigger, "hash": f"ok #{ev}", "reason": "status 400", "attempts": "1",
                 "lcode": "400", **said}  # fmt: skip
        facts = {name: value for name, value in facts.items() if value is not None}
        if stored:
            self.line("letter", **facts)
            return
        self._numbers["letters", trigger, ev] += 1
        n = self._numbers["letters", trigger, ev]
        self.line("recv", "sink-letters", **facts, n=n)
        at = {"ev": ev, "att": facts["att"], "trig": trigger, "n": n}
        self.line("answer", "sink-letters", **at, how=how, code=202 if how == "accept" else 503)

    @contextmanager
    def fault(self, name: str = "kill") -> Iterator[None]:
        self._numbers["faults"] += 1
        self.line("fault", f=name, number=self._numbers["faults"], on=True)
        yield
        self.line("fault", f=name, number=self._numbers["faults"], on=False)

    def facts(self) -> Facts:
        return Facts(self.plan, self.lines)

    def kinds(self) -> set[str]:
        """What the checker finds in it."""
        return {one.kind for one in anomalies(self.facts())}
