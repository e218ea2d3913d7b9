"""What became of one event that was sent: pure bookkeeping over the facts of a watch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from mesh_gateway.cli.output import duration


@dataclass(slots=True)
class Copy:
    """The event's copy for one trigger."""

    trigger: str
    outcome: str | None = None
    """`delivered`, `dead-lettered`…; None while it is under way."""
    code: int | None = None
    why: str | None = None
    attempts: int = 0
    ms: float | None = None
    """How long the last attempt took."""

    def sentence(self, namespace: str) -> str:
        """`billing 200 in 12 ms`, for the person who sent it from `namespace`."""
        name = self.trigger.removeprefix(f"{namespace}/")
        took = "" if self.ms is None else f" in {duration(self.ms / 1000)}"
        tries = f" (attempt {self.attempts})" if self.attempts > 1 else ""
        if self.outcome == "delivered":
            return f"{name} {self.code or 'ok'}{took}{tries}"
        reason = self.why or (f"status {self.code}" if self.code else "no reason given")
        if self.outcome is None:
            last = f", last: {reason}" if self.attempts else ""
            return f"{name} still under way after {self.attempts} attempt(s){last}"
        return f"{name} {self.outcome} after {self.attempts} attempt(s): {reason}"


@dataclass(slots=True)
class Fate:
    """Takes facts until `done`; says how it ended."""

    copies: dict[str, Copy] = field(default_factory=dict)
    matched: bool = False
    """The broker has routed it: before that nobody knows who wants it."""
    done: bool = False

    def follow(self, facts: Iterable[dict[str, Any]]) -> None:
        """Take facts until the event is done or the stream ends."""
        for fact in facts:
            self.take(fact)
            if self.done:
                return

    def take(self, fact: dict[str, Any]) -> None:
        """Note one fact; kinds that are not known here are ignored, so that the gateway may be newer."""
        match fact.get("event"):
            case "matched":
                self.matched = True
                for trigger in fact["triggers"]:
                    self.copies.setdefault(trigger, Copy(trigger))
            case "attempt":
                copy = self.copies.setdefault(fact["trigger"], Copy(fact["trigger"]))
                copy.attempts = fact["attempt"]
                copy.code, copy.why, copy.ms = fact.get("code"), fact.get("why"), fact.get("ms")
            case "ended":
                copy = self.copies.setdefault(fact["trigger"], Copy(fact["trigger"]))
                copy.outcome = fact["outcome"]
                copy.attempts = fact.get("attempts", copy.attempts)
                copy.code = fact.get("code", copy.code)
                copy.why = fact.get("why", copy.why)
            case "done":
                self.done = True

    @property
    def good(self) -> bool:
        """Every copy was delivered."""
        return self.done and all(copy.outcome == "delivered" for copy in self.copies.values())

    def sentence(self, namespace: str) -> str:
        """`matched 2: billing 200 in 12 ms, fast 202 in 4 ms`."""
        if not self.matched:
            return "not routed yet when the time was up"
        told = ", ".join(copy.sentence(namespace) for copy in self.copies.values())
        return f"matched {len(self.copies)}" + (f": {told}" if told else "")

    def document(self) -> dict[str, Any]:
        """The same for programs."""
        return {"done": self.done, "deliveries": [asdict(copy) for copy in self.copies.values()]}
