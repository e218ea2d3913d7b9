"""Gateways and links in one thread and no time: delay, loss, doubled and late messages, crashes at every step.

A gateway is what survives a crash (log, settled positions, what its inbox has seen) and what does not (outboxes,
requests under way, settled positions that were not written yet). Everything happens in steps of a seeded schedule, so a
seed that fails fails again. `Bugs` turns single rules of the protocol off; tests show that each is then missed.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mesh_gateway.event import Event
from mesh_gateway.federation import via
from mesh_gateway.federation.identity import identity
from mesh_gateway.federation.inbox import Judgement, Rules, judge
from mesh_gateway.federation.offers import WAIT, Promises, wanted_part, with_unwanted
from mesh_gateway.federation.outbox import Backoff, Outbox
from mesh_gateway.federation.seen import Seen
from mesh_gateway.federation.transfer import Lane, Offer, Transfer, Verdict, Word
from mesh_gateway.federation.window import Window

Verdicts = tuple[Verdict | None, ...]

TIMEOUT = 2.0
"""Seconds after which a sender gives a transfer up, or an offer: long before a promise is forgotten."""

HORIZON = 100.0
"""Seconds: after trouble ends, at 15, a ring of four needs about ten."""


@dataclass(frozen=True)
class Bugs:
    """Rules that can be broken on purpose."""

    ack_before_commit: bool = False
    highest_number: bool = False
    id_alone: bool = False
    visited_is_logged: bool = False
    recorded_before_stored: bool = False
    floor_is_highest: bool = False
    no_window: bool = False
    no_loop_guard: bool = False
    promised_is_durable: bool = False
    waits_again: bool = False


@dataclass(frozen=True)
class Trouble:
    """How bad the world is until `until`; afterwards it is perfect."""

    loss: float = 0.1
    doubled: float = 0.1
    partial: float = 0.1
    """Commits that take only some of the events."""
    slowest: float = 3.0
    crashes: float = 0.3
    """Of each gateway, a second."""
    until: float = 15.0


@dataclass(eq=False)
class Asked:
    """An offer that waits for an answer."""

    offer: Offer
    told: Callable[[list[bool]], None]
    until: float


@dataclass
class Gateway:
    """One gateway with one broker."""

    name: str
    log: list[Event] = field(default_factory=list)
    settled: dict[str, set[int]] = field(default_factory=dict)
    lanes: dict[Lane, Seen] = field(default_factory=dict)
    window: Window = field(default_factory=Window)
    asks: bool = False
    """Several ways lead here: events are offered before they are sent."""
    dead_letters: list[tuple[Event, str]] = field(default_factory=list)
    # what a crash takes away
    up: bool = True
    life: int = 0
    senders: dict[str, Sender] = field(default_factory=dict)
    committing: int = 0
    queue: list[Callable[[], None]] = field(default_factory=list)
    promises: Promises = field(default_factory=Promises)
    asked: list[Asked] = field(default_factory=list)

    @property
    def place(self) -> str:
        return f"{self.name}/default/events"


@dataclass
class Sender:
    """One relay of a gateway, in one life of it."""

    target: str
    outbox: Outbox
    offered: set[int] = field(default_factory=set)
    attempt: int = 0


class World:
    """All gateways, all links, one clock."""

    def __init__(
        self,
        links: Iterable[tuple[str, str]],
        seed: int,
        trouble: Trouble | None = None,
        bugs: Bugs | None = None,
    ) -> None:
        self.links = list(links)
        self.random = random.Random(seed)
        self.trouble, self.bugs = trouble or Trouble(), bugs or Bugs()
        self.now = 0.0
        self.wait = self.random.choice([WAIT, 2.5 * TIMEOUT])
        """Of an answer to an offer; for some senders longer than they wait for it."""
        self.gateways = {name: Gateway(name) for link in self.links for name in link}
        self.cut: set[tuple[str, str]] = set()
        """Links over which nothing goes."""
        self.crossings: dict[bytes, int] = {}
        """New log entries that came over a link, by identity."""
        self.sent: dict[bytes, int] = {}
        """Copies that were put on a link, by identity."""
        self._steps: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        for gateway in self.gateways.values():
            gateway.settled = {to: set() for start, to in self.links if start == gateway.name}
            gateway.asks = sum(to == gateway.name for _, to in self.links) > 1
            self._start(gateway)

    # ── the schedule ─────────────────────────────────────────────────────────────────────────

    def after(self, seconds: float, step: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._steps, (self.now + seconds, self._count, step))

    def run(self) -> None:
        """Until nothing is left to do, or only what is tried in vain for ever (over a link that is cut)."""
        while self._steps and self._steps[0][0] < HORIZON:
            self.now, _, step = heapq.heappop(self._steps)
            step()

    @property
    def troubled(self) -> bool:
        return self.now < self.trouble.until

    def publish(self, gateway: str, event: Event, at: float) -> None:
        """A producer sends an event, again and again until it is taken."""

        def post() -> None:
            home = self.gateways[gateway]
            if not home.up:
                self.after(0.5, post)
                return
            home.log.append(event)
            self._wake(home)

        self.after(at, post)

    # ── lives ────────────────────────────────────────────────────────────────────────────────

    def _start(self, gateway: Gateway) -> None:
        gateway.up, gateway.life, gateway.committing = True, gateway.life + 1, 0
        gateway.queue, gateway.asked, gateway.promises = [], [], Promises()
        gateway.senders = {}
        for to in gateway.settled:
            lane = Lane(gateway.name, f"default/to-{to}", f"{gateway.life}")
            outbox = Outbox(lane, gateway.place, backoff=Backoff(0.2, 2.0), most_events=2)
            gateway.senders[to] = Sender(to, outbox)
        self._wake(gateway)
        wait = self.random.expovariate(self.trouble.crashes) if self.trouble.crashes else float("inf")
        if self.now + wait < self.trouble.until:
            self.after(wait, lambda: self._crash(gateway))

    def _crash(self, gateway: Gateway) -> None:
        gateway.up = False
        self.after(self.random.uniform(0.1, 2.0), lambda: self._start(gateway))

    def _living(self, gateway: Gateway, step: Callable[[], None]) -> Callable[[], None]:
        """`step`, unless the gateway has crashed meanwhile."""
        life = gateway.life

        def if_alive() -> None:
            if gateway.up and gateway.life == life:
                step()

        return if_alive

    # ── the sender ───────────────────────────────────────────────────────────────────────────

    def _wake(self, gateway: Gateway) -> None:
        for sender in gateway.senders.values():
            self._read(gateway, sender)

    def _read(self, gateway: Gateway, sender: Sender) -> None:
        """What is in the log and not settled is offered, once in a life."""
        settled = gateway.settled[sender.target]
        for position, event in enumerate(gateway.log):
            if position in settled or position in sender.offered:
                continue
            sender.offered.add(position)
            places = via.logged_by(event)
            if self.gateways[sender.target].place in places and not self.bugs.no_loop_guard:
                self._settle(gateway, sender, [position])
                continue
            sender.outbox.offer(self._marked(gateway, event), position)
        self._send(gateway, sender)

    def _marked(self, gateway: Gateway, event: Event) -> Event:
        if not self.bugs.visited_is_logged:
            return event
        targets = [self.gateways[to].place for to in gateway.settled]
        return event.with_attributes({via.VIA: ",".join([*via.logged_by(event), *targets])})

    def _send(self, gateway: Gateway, sender: Sender) -> None:
        due = sender.outbox.due(self.now)
        if due is None:
            return
        if due > 0:
            self.after(due + 0.001, self._living(gateway, lambda: self._send(gateway, sender)))
            return
        transfer = sender.outbox.next(self.now)
        if transfer is None:
            return
        if self.bugs.floor_is_highest:
            transfer = Transfer(transfer.lane, transfer.events[-1].number, transfer.events)
        sender.attempt += 1
        attempt = sender.attempt
        link = (gateway.name, sender.target)

        def answered(verdicts: Verdicts) -> None:
            def tell() -> None:
                if gateway.senders.get(sender.target) is sender and sender.attempt == attempt:
                    sender.attempt += 1
                    self._answered(gateway, sender, verdicts)

            self._over(link, self._living(gateway, tell))

        receiver = self.gateways[sender.target]

        def send(part: Transfer, told: Callable[[Verdicts], None]) -> None:
            for _, event in part.events:
                self.sent[identity(event)] = self.sent.get(identity(event), 0) + 1
            self._over(link, lambda: self._receive(receiver, part, told))

        def wanted_is(wanted: list[bool]) -> None:
            def tell() -> None:
                if gateway.senders.get(sender.target) is not sender or sender.attempt != attempt:
                    return
                if any(wanted):
                    send(
                        wanted_part(transfer, wanted),
                        lambda said: answered(tuple(with_unwanted(wanted, said))),
                    )
                else:
                    sender.attempt += 1
                    self._answered(gateway, sender, tuple(with_unwanted(wanted, ())))

            self._over(link, self._living(gateway, tell))

        if receiver.asks:
            offer = Offer(transfer.lane, tuple(identity(event) for _, event in transfer.events))
            self._over(link, lambda: self._offered(receiver, offer, wanted_is))
        else:
            send(transfer, answered)

        def late() -> None:
            if sender.attempt == attempt:
                sender.attempt += 1
                sender.outbox.failed(self.now)
                self._send(gateway, sender)

        self.after(TIMEOUT, self._living(gateway, late))

    def _answered(self, gateway: Gateway, sender: Sender, verdicts: Verdicts) -> None:
        judged = sender.outbox.answered(verdicts, self.now)
        for one in judged:
            if one.verdict.word is Word.REFUSED:
                gateway.dead_letters.append((one.event, one.verdict.why))
        self._settle(gateway, sender, [one.token for one in judged])
        self._send(gateway, sender)

    def _settle(self, gateway: Gateway, sender: Sender, positions: list[int]) -> None:
        """Written a little later: a crash before makes them come again."""
        settled = gateway.settled[sender.target]
        self.after(self.random.uniform(0, 0.3), self._living(gateway, lambda: settled.update(positions)))

    # ── the link ─────────────────────────────────────────────────────────────────────────────

    def _over(self, link: tuple[str, str], step: Callable[[], None]) -> None:
        """A message: perhaps lost, perhaps twice, perhaps late, so that later ones pass it."""
        if link in self.cut:
            return
        chance = self.random.random
        if self.troubled and chance() < self.trouble.loss:
            return
        copies = 2 if self.troubled and chance() < self.trouble.doubled else 1
        for _ in range(copies):
            slowest = self.trouble.slowest if self.troubled and chance() < 0.3 else 0.2
            self.after(self.random.uniform(0.01, slowest), step)

    # ── the receiver ─────────────────────────────────────────────────────────────────────────

    def _receive(self, gateway: Gateway, transfer: Transfer, answer: Callable[[Verdicts], None]) -> None:
        """One commit after the other; each judges by what the ones before it have made durable."""
        if not gateway.up:
            return
        if self.bugs.recorded_before_stored:
            judgement = self._judge(gateway, transfer)
            self._record(gateway, transfer.lane, judgement)
            self.after(
                self.random.uniform(0.0, 0.3),
                self._living(gateway, lambda: self._store(gateway, judgement, answer)),
            )
            return
        if self.bugs.ack_before_commit:
            answer(self._judge(gateway, transfer).verdicts)
        gateway.queue.append(lambda: self._commit(gateway, transfer, answer))
        self._next_commit(gateway)

    def _offered(self, gateway: Gateway, offer: Offer, told: Callable[[list[bool]], None]) -> None:
        if gateway.up:
            older = any(one.offer.lane == offer.lane for one in gateway.asked)
            gateway.asked = [one for one in gateway.asked if one.offer.lane != offer.lane]
            broken = not self.bugs.waits_again and gateway.promises.begin(offer.lane)
            asks_again = not self.bugs.waits_again and (older or broken)
            wait = 0.0 if asks_again else self.wait
            gateway.asked.append(Asked(offer, told, self.now + wait))
            self._answer_offers(gateway)
            self.after(wait + 0.001, self._living(gateway, lambda: self._answer_offers(gateway)))

    def _answer_offers(self, gateway: Gateway) -> None:
        """Those whose answer is clear, in the order in which they came."""
        asked, gateway.asked = gateway.asked, []
        for one in asked:
            durable = gateway.window.known(one.offer.identities, self.now)
            if self.bugs.promised_is_durable:
                durable |= gateway.promises._made.keys()
            wanted = gateway.promises.answer(one.offer, durable, self.now, may_wait=self.now < one.until)
            if wanted is None:
                gateway.asked.append(one)
            else:
                one.told(wanted)

    def _next_commit(self, gateway: Gateway) -> None:
        if gateway.committing or not gateway.queue:
            return
        gateway.committing = 1
        commit = gateway.queue.pop(0)

        def done() -> None:
            commit()
            gateway.committing = 0
            self._next_commit(gateway)

        self.after(self.random.uniform(0.0, 0.3), self._living(gateway, done))

    def _commit(self, gateway: Gateway, transfer: Transfer, answer: Callable[[Verdicts], None]) -> None:
        judgement = self._judge(gateway, transfer)
        if judgement.new and self.troubled and self.random.random() < self.trouble.partial:
            # The store takes some of them only, as Kafka, RabbitMQ and SQS may.
            judgement = judgement.without({self.random.choice(judgement.new).identity})
        self._record(gateway, transfer.lane, judgement)
        self._store(gateway, judgement, answer)

    def _store(self, gateway: Gateway, judgement: Judgement, answer: Callable[[Verdicts], None]) -> None:
        gateway.promises.came(judgement.identities)
        for one in judgement.new:
            gateway.log.append(one.event)
            self.crossings[one.identity] = self.crossings.get(one.identity, 0) + 1
        # The crash between the commit and the answer.
        self.after(self.random.uniform(0.0, 0.2), self._living(gateway, lambda: answer(judgement.verdicts)))
        self._wake(gateway)
        self._answer_offers(gateway)

    def _record(self, gateway: Gateway, lane: Lane, judgement: Judgement) -> None:
        gateway.lanes[lane] = judgement.seen(gateway.lanes.get(lane, Seen()))
        for one in judgement.new:
            own = one.event.id.encode() if self.bugs.id_alone else one.identity
            gateway.window.add([own], self.now)

    def _judge(self, gateway: Gateway, transfer: Transfer) -> Judgement:
        lane = gateway.lanes.get(transfer.lane, Seen())
        if self.bugs.highest_number:
            lane = Seen(max([lane.watermark, *lane.beyond]))
        by_id = {identity(event): event.id.encode() for _, event in transfer.events}

        def known(identities: Iterable[bytes]) -> set[bytes]:
            if self.bugs.no_window:
                return set()
            if self.bugs.id_alone:
                return {one for one in identities if gateway.window.known([by_id[one]], self.now)}
            return gateway.window.known(identities, self.now)

        here = "nowhere" if self.bugs.no_loop_guard else gateway.place
        return judge(transfer, lane, known, Rules(here))
