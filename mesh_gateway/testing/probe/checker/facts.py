"""A history by event, by copy and by fault: what all questions are asked of.

A *copy* is what one trigger gets of one acceptance: (trigger, event, attempt of the sender). A sender that had no
answer sends again, and both attempts may have been stored; so attempts are told apart wherever it matters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mesh_gateway.testing.probe.history import Record
from mesh_gateway.testing.probe.oracle import Wish, wants
from mesh_gateway.testing.probe.plan import LETTERS, REPLY, Plan, TriggerPlan

Copy = tuple[str, str, str]
"""Trigger, event, attempt."""

FOREVER = 2**63


@dataclass(slots=True)
class Attempt:
    """One HTTP request with an event, and what the sender was told."""

    invoke: Record
    outcome: Record | None = None

    @property
    def said(self) -> str:
        """`ok`, `fail` or `info`; also `info` where the sender ended before it was told."""
        return "info" if self.outcome is None else str(self.outcome["op"])


@dataclass(slots=True)
class Sent:
    """An event that a sender sent, or that a sink replied with."""

    ev: str
    attributes: Mapping[str, str]
    hash: str
    sender: str = ""
    key: str = ""
    seq: int = 0
    attempts: dict[str, list[Attempt]] = field(default_factory=lambda: defaultdict(list))

    @property
    def acknowledged(self) -> Record | None:
        """The first 202."""
        found = [one.outcome for one in self._all() if one.said == "ok" and one.outcome is not None]
        return min(found, key=lambda record: record["t"], default=None)

    @property
    def begun(self) -> int:
        """When it was sent first."""
        return min((one.invoke["t"] for one in self._all()), default=0)

    @property
    def lines(self) -> Iterator[Record | None]:
        """All that the sender noted of it."""
        for one in self._all():
            yield one.invoke
            yield one.outcome

    def refused(self, att: str) -> bool:
        """Whether the sender was told that nothing was stored with this attempt."""
        tries = self.attempts.get(att, [])
        return bool(tries) and all(one.said == "fail" for one in tries)

    def _all(self) -> Iterator[Attempt]:
        for tries in self.attempts.values():
            yield from tries


@dataclass(slots=True)
class Got:
    """A copy that came to a sink once, or a dead letter that lies in the broker's channel."""

    recv: Record
    answer: Record | None = None

    @property
    def t(self) -> int:
        return int(self.recv["t"])

    @property
    def trigger(self) -> str:
        return str(self.recv["trig"])

    @property
    def ev(self) -> str:
        return str(self.recv["ev"])

    @property
    def copy(self) -> Copy:
        return self.trigger, self.ev, str(self.recv["att"])

    @property
    def stored(self) -> bool:
        """A dead letter in the broker's channel: durable, at a moment that nobody noted."""
        return bool(self.recv["op"] == "letter")

    @property
    def taken(self) -> bool:
        """Whether it has come to an end with this: a whole 2xx, or a durable dead letter."""
        if self.stored:
            return True
        return self.answer is not None and self.answer["how"] in ("accept", "reply")

    @property
    def taken_at(self) -> int:
        return self.t if self.answer is None else int(self.answer["t"])

    @property
    def lines(self) -> tuple[Record | None, Record | None]:
        return self.recv, self.answer


@dataclass(frozen=True, slots=True)
class Window:
    """A fault from its beginning to where it was healed."""

    name: str
    number: int
    on: Record
    off: Record | None

    @property
    def end(self) -> int:
        return FOREVER if self.off is None else int(self.off["t"])

    def touches(self, since: int, until: int) -> bool:
        return bool(self.on["t"] <= until and self.end >= since)


@dataclass(frozen=True, slots=True)
class Epoch:
    """A configuration: from when it may have been in force, and from when no other was."""

    number: int
    written: int
    applied: int
    record: Record | None = None


class Facts:
    """Everything of one run that the questions need, by the keys they ask with."""

    def __init__(self, plan: Plan, history: Sequence[Record]) -> None:
        self.plan = plan
        self.history = history
        self.triggers: Mapping[str, TriggerPlan] = {one.name: one for one in plan.triggers}
        self.sent: dict[str, Sent] = {}
        self.got: dict[tuple[str, str], list[Got]] = defaultdict(list)
        """(trigger, event) -> what its subscriber got, in order of time."""
        self.letters: dict[tuple[str, str], list[Got]] = defaultdict(list)
        """(trigger, event) -> its dead letters, those in the broker's channel last."""
        self.strange: list[Got] = []
        """What came and is no event of ours, or of no trigger of ours."""
        self.windows: list[Window] = []
        self.epochs: list[Epoch] = [Epoch(0, 0, 0)]
        self.of: dict[str, list[Record]] = defaultdict(list)
        """Records of the ops that are not about events, by op."""
        self._read(history)

    # ── questions that many modules ask ──────────────────────────────────────────────────────

    def all_got(self) -> Iterator[Got]:
        """Everything that came to a subscriber."""
        for some in self.got.values():
            yield from some

    def ended(self, trigger: str, ev: str) -> bool:
        """Whether any copy of the event has come to an end for this trigger."""
        some = (*self.got.get((trigger, ev), ()), *self.letters.get((trigger, ev), ()))
        return any(one.taken for one in some)

    def disturbed(self, since: int, until: int) -> bool:
        """Whether a fault was on at any moment between the two that excuses what is seen twice, or not at all: a reload
        is none, nothing may come of it.
        """
        return any(window.touches(since, until) for window in self.windows if window.name != "reload")

    def wishes(self, trigger: TriggerPlan, since: int, until: int) -> list[Wish]:
        """What the trigger may have wanted at some moment between the two."""
        found = []
        for one, following in zip(self.epochs, [*self.epochs[1:], None], strict=True):
            over = FOREVER if following is None else following.applied
            if one.written <= until and over >= since:
                found.append(
                    trigger.wish if one.number % 2 == 0 or trigger.other is None else trigger.other[1]
                )
        return found

    def must(self, trigger: TriggerPlan, sent: Sent) -> bool:
        """Whether the trigger has to get this event, whenever it is looked at."""
        return all(wants(wish, sent.attributes) for wish in self.wishes(trigger, sent.begun, FOREVER))

    def may(self, trigger: TriggerPlan, sent: Sent, until: int) -> bool:
        """Whether the trigger may get this event, if it is looked at by then."""
        return any(wants(wish, sent.attributes) for wish in self.wishes(trigger, sent.begun, until))

    def lines(self, trigger: str, ev: str) -> list[Record | None]:
        """All that was noted of an event and this trigger."""
        found: list[Record | None] = list(self.sent[ev].lines) if ev in self.sent else []
        for one in (*self.got.get((trigger, ev), ()), *self.letters.get((trigger, ev), ())):
            found += one.lines
        return found

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def _read(self, history: Iterable[Record]) -> None:
        under_way: dict[tuple[str, str, str], Attempt] = {}
        unanswered: dict[tuple[str, str, str, str, int], Got] = {}
        on: dict[int, Record] = {}
        for record in history:
            match record["op"]:
                case "invoke":
                    under_way[record["p"], record["ev"], record["att"]] = self._invoked(record)
                case "ok" | "fail" | "info":
                    attempt = under_way.pop((record["p"], record["ev"], record["att"]), None)
                    if attempt is not None:
                        attempt.outcome = record
                case "recv":
                    unanswered[_request(record)] = self._received(record)
                case "answer":
                    got = unanswered.pop(_request(record), None)
                    if got is not None:
                        got.answer = record
                    self._replied(record)
                case "letter":
                    self._received(record)
                case "fault":
                    self._fault(record, on)
                case "config":
                    self._configured(record)
                    self.of["config"].append(record)
                case other:
                    self.of[other].append(record)
        self.windows += [Window(record["f"], number, record, None) for number, record in on.items()]

    def _invoked(self, record: Record) -> Attempt:
        sent = self.sent.get(record["ev"])
        if sent is None:
            sent = Sent(
                record["ev"], record["a"], record["hash"], record["p"], record.get("key", ""), record.get("seq", 0)
            )  # fmt: skip
            self.sent[record["ev"]] = sent
        attempt = Attempt(record)
        sent.attempts[record["att"]].append(attempt)
        return attempt

    def _replied(self, record: Record) -> None:
        """A reply is an event, too: sent with the answer, and nobody is told what became of it."""
        if "reply" in record:
            ev = record["reply"]
            sent = self.sent.setdefault(ev, Sent(ev, {"type": REPLY}, record["rehash"], record["p"]))
            sent.attempts[record["reatt"]].append(Attempt(record))

    def _received(self, record: Record) -> Got:
        got = Got(record)
        where = self.letters if record["op"] == "letter" or record["p"] == f"sink-{LETTERS}" else self.got
        if record["ev"] in self.sent and record["trig"] in self.triggers:
            where[got.trigger, got.ev].append(got)
        else:
            self.strange.append(got)
        return got

    def _fault(self, record: Record, on: dict[int, Record]) -> None:
        if record["on"]:
            on[record["number"]] = record
            return
        began = on.pop(record["number"], None)
        if began is not None:
            self.windows.append(Window(record["f"], record["number"], began, record))

    def _configured(self, record: Record) -> None:
        if "epoch" in record:
            self.epochs.append(Epoch(record["epoch"], record["t"], FOREVER, record))
        elif "applied" in record:
            # Those before it are over as well: several files in a row may be read as one.
            self.epochs = [
                replace(one, applied=record["t"])
                if one.applied == FOREVER and one.number <= record["applied"]
                else one
                for one in self.epochs
            ]


def _request(record: Record) -> tuple[str, str, str, str, int]:
    return record["p"], record.get("trig", ""), record["ev"], record["att"], record["n"]
