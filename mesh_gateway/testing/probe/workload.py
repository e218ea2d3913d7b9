"""What is sent, and how sinks answer: pure functions of the seed, so that a run can be had again.

An event carries who sent it (`pbsrc`), its key and number (`pbkey`, `pbseq`: gapless for a sender and key),
the number of the HTTP attempt (`pbatt`) and a hash over all of it but that number (`pbhash`). Ids are unique
for one source only, as CloudEvents has it: two senders use the same ones.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from mesh_gateway.testing.probe import codec
from mesh_gateway.testing.probe.codec import ATTEMPT, HASH, Attributes
from mesh_gateway.testing.probe.plan import EVENT, REPLY, Plan

T = TypeVar("T", bound=str)

Mode = Literal["binary", "structured", "batch"]

MODES: tuple[tuple[Mode, int], ...] = (("binary", 60), ("structured", 30), ("batch", 10))
BATCH = 5
"""Events of one batch, all of one key."""

KINDS = (("plain", 35), ("flaky", 15), ("refused", 15), ("hopeless", 5), ("ordered", 20), ("ask", 10))
"""What the types end in, and their share of a hundred."""

TIERS = (None, None, "gold", "silver", "none")

SUBJECTS = (
    None,
    "plain",
    "with space",
    '"quoted"',
    "100% %41 %25",
    "smørrebrød ☕",
    "a,b;c=d",
    "\U0001f980",
    "-",
    "%",
)
"""What a codec may get wrong; none of them means the same when it is decoded twice."""

EDGE_SHARE = 0.02
"""Of the events, that have a size at the limit. Each of these is 64 KiB that every sink hashes."""


@dataclass(frozen=True, slots=True)
class Made:
    """An event to be sent, of one number of one key."""

    ev: str
    key: str
    seq: int
    attributes: Attributes
    data: bytes | None
    hash: str
    too_large: bool = False

    def attempt(self, number: int) -> codec.Sample:
        """The event as it goes over the wire with this attempt."""
        return {**self.attributes, ATTEMPT: str(number), HASH: self.hash}, self.data


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request: a mode and its events."""

    mode: Mode
    events: tuple[Made, ...]

    def message(self, attempt: int) -> tuple[list[tuple[str, str]], bytes]:
        """Headers and body of this attempt."""
        if self.mode == "batch":
            return codec.batch(made.attempt(attempt) for made in self.events)
        encode = codec.binary if self.mode == "binary" else codec.structured
        return encode(*self.events[0].attempt(attempt))


def requests(plan: Plan, sender: str, key: str) -> Iterator[Request]:
    """Everything that `sender` sends with this key, in order, without end."""
    chance = random.Random(f"{plan.seed}/{sender}/{key}")
    seq = 0
    while True:
        mode = _one_of(chance, MODES)
        count = BATCH if mode == "batch" else 1
        events = []
        for _ in range(count):
            seq += 1
            events.append(_event(plan, chance, sender, key, seq, mode))
        yield Request(mode, tuple(events))


def _event(plan: Plan, chance: random.Random, sender: str, key: str, seq: int, mode: Mode) -> Made:
    kind = _one_of(chance, KINDS)
    attributes = {
        "specversion": "1.0",
        "id": f"{key}-{seq}",
        "source": f"/probe/{sender}",
        "type": EVENT + kind,
        "partitionkey": f"{sender}.{key}",
        "pbsrc": sender,
        "pbkey": key,
        "pbseq": str(seq),
    }
    optional = {
        "pbtier": chance.choice(TIERS),
        "pbvip": chance.choice((None, "yes", "no")),
        "subject": chance.choice(SUBJECTS),
        "time": chance.choice((None, "2026-11-28T12:00:00Z", "2026-11-28T13:00:00.120+01:00")),
    }
    attributes |= {name: value for name, value in optional.items() if value is not None}
    edge = chance.random()
    if mode != "batch" and edge < EDGE_SHARE:
        return _at_the_limit(plan, chance, sender, attributes, mode)
    size = plan.smallest * (plan.largest / plan.smallest) ** chance.random()
    data = _data(chance, attributes, round(size) * chance.choice((0, 1, 1, 1, 1)))
    return _made(sender, attributes, data)


def _at_the_limit(plan: Plan, chance: random.Random, sender: str, attributes: Attributes, mode: Mode) -> Made:
    """One byte less than the limit, exactly it, one byte more; counted is the body of the request."""
    attributes["datacontenttype"] = "application/json"
    over = chance.choice((-1, 0, 1) if plan.oversized else (-1, 0))
    data = b'""'
    empty = _made(sender, attributes, data)
    used = len(Request(mode, (empty,)).message(1)[1])
    data = b'"' + b"x" * (plan.limit + over - used) + b'"'
    return _made(sender, attributes, data, too_large=over > 0)


def _made(sender: str, attributes: Attributes, data: bytes | None, *, too_large: bool = False) -> Made:
    key, seq = attributes["pbkey"], attributes["pbseq"]
    return Made(
        f"{sender}/{key}/{seq}", key, int(seq), attributes, data, codec.digest(attributes, data), too_large
    )


def _data(chance: random.Random, attributes: Attributes, size: int) -> bytes | None:
    """About `size` bytes of one of the kinds that data come in; sets their content type."""
    kind = chance.choice(("json", "text", "unicode", "binary", "nul", "none"))
    if kind == "none" or size == 0:
        return None
    if kind == "json":
        attributes["datacontenttype"] = "application/json"
        return json.dumps({"n": size, "fill": "y" * size}, separators=(",", ":")).encode()
    if kind == "text":
        attributes["datacontenttype"] = "text/plain; charset=utf-8"
        return ("line of text\n" * (size // 13 + 1)).encode()
    if kind == "unicode":
        attributes["datacontenttype"] = "text/plain; charset=utf-8"
        return ("ß→☕" * (size // 8 + 1)).encode()
    attributes["datacontenttype"] = "application/octet-stream"
    return b"\0" * size if kind == "nul" else chance.randbytes(size)


def _one_of(chance: random.Random, weighed: tuple[tuple[T, int], ...]) -> T:
    return chance.choices([name for name, _ in weighed], [weight for _, weight in weighed])[0]


# ── how sinks answer ─────────────────────────────────────────────────────────────────────────

How = Literal["accept", "reply", "fail", "refuse", "hang", "drip", "reset", "cut", "garbage"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sink does with one request.

    `accept` and `reply` are 2xx, `fail` is worth another attempt, `refuse` is not. `hang` never answers, `drip`
    does so slower than anybody waits, `reset` closes the connection without a word, `cut` in the middle of the
    answer, `garbage` sends what is no HTTP.
    """

    how: How
    code: int = 0
    headers: Mapping[str, str] | None = None

    @property
    def takes(self) -> bool:
        """Whether the subscriber has the event with this, and says so."""
        return self.how in ("accept", "reply")


def _accept(chance: random.Random, n: int) -> Answer:
    return Answer("accept", chance.choice((200, 202, 204)))


def _flaky(chance: random.Random, n: int) -> Answer:
    """Fails a third of the first five attempts, in every way there is; so ten retries are enough outside of outages."""
    if n > 5 or chance.random() > 0.35:
        return _accept(chance, n)
    how = chance.choices(
        ("fail", "later", "reset", "cut", "garbage", "hang", "drip"), (50, 15, 10, 10, 9, 3, 3)
    )[0]
    if how == "later":
        return Answer(
            "fail", chance.choice((429, 503)), {"retry-after": chance.choice(("0", "1", "315360000"))}
        )
    if how == "fail":
        return Answer("fail", chance.choice((500, 502, 503, 504, 404, 408, 409, 429)))
    return Answer(how, 200)  # type: ignore[arg-type]


def _falter(chance: random.Random, n: int) -> Answer:
    return Answer("fail", 503) if n < 4 and chance.random() < 0.1 else _accept(chance, n)


def _refuse(chance: random.Random, n: int) -> Answer:
    return Answer("refuse", chance.choice((400, 401, 403, 410, 413, 422, 301, 307)))


def _fail(chance: random.Random, n: int) -> Answer:
    return Answer("fail", 500)


def _reply(chance: random.Random, n: int) -> Answer:
    return Answer("reply", 200)


SCRIPTS: Mapping[str, Callable[[random.Random, int], Answer]] = {
    "accept": _accept,
    "flaky": _flaky,
    "falter": _falter,
    "refuse": _refuse,
    "fail": _fail,
    "reply": _reply,
}
"""How a sink answers, by name: from chance and the how-many-eth time it sees this copy."""


def answer(plan: Plan, script: str, sink: str, ev: str, attempt: str, n: int) -> Answer:
    """The same for the same copy in every run of a seed, in whatever order they come."""
    return SCRIPTS[script](random.Random(f"{plan.seed}/{sink}/{ev}/{attempt}/{n}"), n)


def reply(cause: Mapping[str, str], n: int) -> Made:
    """What the sink called asking replies with to `cause` the `n`th time: always the same but for its attempt."""
    attributes = {
        "specversion": "1.0",
        "id": f"re-{cause['pbsrc']}-{cause['id']}",
        "source": "/probe/asking",
        "type": REPLY,
        "pbsrc": "asking",
        "pbkey": f"{cause['pbsrc']}.{cause['pbkey']}",
        "pbseq": cause["pbseq"],
        "pbcause": f"{cause['pbsrc']}/{cause['pbkey']}/{cause['pbseq']}",
        "datacontenttype": "application/json",
    }
    return _made("asking", attributes, b'{"answer":true}')
