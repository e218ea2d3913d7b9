"""The contract of a transport: what a plugin must do, and all that it must do.

A transport stores events durably in named channels and hands them out to groups. It does no
retries, no batching and no policy: the portable side (`channel.py`, the reader, the trigger)
does those once for everybody. `mesh_gateway.testing.TransportConformance` is the definition;
this file is its prose.

Names. A *channel* is named by the core as `ns/broker`, `ns/broker:dead-letters` or
`ns/broker:parked:trigger`; how it is called in the broker (a topic, a queue) is the
transport's own business, told to it by `ensure(ChannelSpec)`. A *group* is a set of readers
that share a channel's events; two groups each get all of them.

Time. All moments are Unix seconds (float), all lengths seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from mesh_gateway.errors import TransportError
from mesh_gateway.event import Event

TRANSPORT_API = 1
"""Version of this contract; a plugin names the one it was built for, checked when it is loaded."""

SHARED = "shared"
"""The group of a broker's one shared reader. A dedicated reader's group is its trigger's name, a relay's `relay_NAME`."""

OPERATORS = "operators"
"""The group in whose name dead letters wait. Nobody subscribes as it: they are browsed and removed."""


class Purpose(StrEnum):
    """What a channel is for; a transport may store each differently."""

    EVENTS = "events"
    DEAD_LETTERS = "dead-letters"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """A channel to be ensured. `groups` are all the groups that will read it."""

    namespace: str
    broker: str
    purpose: Purpose = Purpose.EVENTS
    trigger: str | None = None
    """Whose parked channel it is: the name of a trigger, or `relay_NAME`."""
    groups: tuple[str, ...] = (SHARED,)
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """The broker document's settings for this channel (a Knative ConfigMap's data), as pairs. Those that begin with
    `secret.` came out of a Secret: they are for no message."""

    @property
    def name(self) -> str:
        """The channel's name in every call of the contract."""
        base = f"{self.namespace}/{self.broker}"
        if self.purpose is Purpose.EVENTS:
            return base
        if self.purpose is Purpose.DEAD_LETTERS:
            return f"{base}:dead-letters"
        return f"{base}:parked:{self.trigger}"


LETTER_BYTES = 4_096
"""What a dead letter or a parked copy carries besides its event: 1,368 bytes of the response, a reason of 256 characters,
an address, names. Without that room the largest events could not be buried, and would stay unsettled for ever."""


def largest_event(channel: str, limit: int) -> int:
    """Most bytes of an event in this channel, of a transport whose server takes `limit`: a broker's own channel leaves
    the room that the event's dead letter will need.
    """
    return limit if ":" in channel else limit - LETTER_BYTES


def dead_letters_of(channel: str) -> str:
    """The name of the dead-letter channel beside `channel`, where a transport puts unreadable records."""
    namespace, _, rest = channel.partition("/")
    return f"{namespace}/{rest.partition(':')[0]}:{Purpose.DEAD_LETTERS}"


class Ensure(StrEnum):
    """How far `Transport.ensure` may go."""

    CREATE = "create"
    VERIFY = "verify"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference between what a channel should be and what it is."""

    channel: str
    what: str
    wanted: str
    found: str
    hint: str = ""


class Level(StrEnum):
    """What a check is about, in the order in which they make sense."""

    CONNECT = "connect"
    AUTH = "auth"
    TOPOLOGY = "topology"
    PERMISSION = "permission"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding of `Transport.check`. `hint` says what to do when it is not `ok`."""

    name: str
    level: Level
    ok: bool
    detail: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a group that does not exist yet begins to read; an existing group goes on."""

    at: Literal["latest", "earliest", "timestamp", "position"]
    timestamp: float | None = None
    position: str | None = None


LATEST = Start("latest")
EARLIEST = Start("earliest")


@dataclass(slots=True, eq=False)
class Delivery:
    """One received event in flight, handed out by `Subscription.receive`.

    `pending` belongs to the reader: how many triggers still hold it. It may be settled when
    that is 0. Everything else is read-only.
    """

    event: Event
    token: Any
    """Opaque to everybody but the subscription that made it."""
    position: str
    """Names this stored message in its channel: the same whenever and in whichever group it is handed out, also after
    a crash, and another one for every other message, also for one that holds the same event. By it a message that
    comes again is told from a second copy of its event.
    Sorts by time within a partition only."""
    key: str | None = None
    """Ordering key where the transport keeps order per key or partition."""
    attempt: int | None = None
    """How often it has been handed out, where the transport counts; first time = 1."""
    enqueued_at: float | None = None
    pending: int = 0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a transport can do, as values. Declaring less than the truth is allowed, more is a lie.

    `describe transport` prints these, and `lint` compares them with what each trigger needs.
    """

    ordering: Literal["none", "key", "channel"] = "none"
    """Within which bounds the order of publishing is the order of receiving."""
    settle: Literal["individual", "watermark"] = "individual"
    """`watermark`: an unsettled event holds back the durable position of those after it."""
    delay: float = 0.0
    """Longest delay in seconds that `release(delay=…)` honours; 0 = none, inf = any."""
    lease: float | None = None
    """Seconds after which an unsettled event is handed out again by itself; None = never."""
    groups: bool = True
    """Two groups on one channel each get every event."""
    seek: frozenset[Literal["position", "timestamp"]] = frozenset()
    """What a new group's `Start` may name besides latest and earliest. A transport that names nothing here may
    refuse `earliest` for a new group, too: it keeps nothing from before a group was there."""
    browse: bool = False
    measure: bool = False
    counts_attempts: bool = False
    dedup: float | None = None
    """Seconds within which a second publish of the same (source, id) is dropped; None = never."""
    max_event_bytes: int | None = None
    """Largest encoded event of a broker's own channel; its dead letters and parked copies may be `LETTER_BYTES`
    larger. None = as the gateway's own limit says."""
    max_batch: int = 1000
    """Most events in one `publish`; the portable side never sends more."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An event found by browsing, outside of any group."""

    position: str
    event: Event
    enqueued_at: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a group has not settled yet. `oldest_age` in seconds, None when there is nothing or nobody can know."""

    events: int
    oldest_age: float | None


class Subscription(Protocol):
    """A group's reading of one channel. One task receives; settle and release from anywhere."""

    async def receive(self, limit: int) -> Sequence[Delivery]:
        """Up to `limit` events, oldest first; waits about a second at most; may be empty.

        An event is handed out once until it is released, its lease ends or the group's
        subscription is opened anew. Cancelling it loses nothing. Raises `TransportError`.
        """
        ...

    async def settle(self, done: Sequence[Delivery]) -> None:
        """These are finished and are not handed out again. Idempotent. What was cancelled may be settled again.

        May return before the fact is durable: after a crash a settled event may come again.
        A clean `close` makes it durable.
        """
        ...

    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        """These were not processed: hand them out again (after `delay`). Costs no attempt, never dead-letters.

        A `delay` beyond `Capabilities.delay` raises `Unsupported`.
        """
        ...

    async def close(self) -> None:
        """Stop reading; settles are flushed, the rest stays for the group's next subscription. Bounded; raises nothing.

        The gateway lets it end also when it is itself cancelled meanwhile.
        """
        ...


class Transport(Protocol):
    """A plugin's whole duty."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def open(self) -> None:
        """Connect. Raises `TransportError`; may be called again after `close`.

        A server that cannot be found or does not answer is `ConnectionLost`, a credential that is
        refused `NotPermitted`, both within about five seconds.
        """
        ...

    async def check(self) -> list[Check]:
        """Connection, authentication, topology, permission, as findings; raises nothing.

        Works before `open` too (`lint --connect` calls it so), and ends within about five seconds
        whether or not anybody answers.
        """
        ...

    async def ensure(self, channel: ChannelSpec, mode: Ensure) -> list[Drift]:
        """Make the channel and its groups (`create`) or look at them (`verify`); idempotent.

        Drift is returned, not raised. A group made here begins at the channel's start
        (`earliest`) unless `subscribe` made it before. Raises `ChannelGone` in `verify`
        mode if the channel is not there.
        """
        ...

    async def publish(self, channel: str, events: Sequence[Event]) -> None:
        """Durable when it returns. Else raises `PublishError`, or another `TransportError`
        when nothing at all was stored. An event that this transport can never store (too
        large for it) is one of `PublishError.refused`; it does not harm the others. At most
        `capabilities.max_batch` events. Safe to call concurrently. Cancelling it leaves the
        outcome unknown.
        """
        ...

    async def subscribe(self, channel: str, group: str, start: Start) -> Subscription:
        """Begin to read as `group`; `start` counts only for a group that does not exist yet."""
        ...

    async def close(self) -> None:
        """Flush and disconnect. Idempotent."""
        ...


@runtime_checkable
class Browsable(Protocol):
    """Looking into a channel without taking anything out of it: into dead letters at the least."""

    async def browse(self, channel: str, *, after: str | None, limit: int) -> Sequence[Stored]:
        """Up to `limit` events behind position `after` (None = from the start), oldest first."""
        ...


@runtime_checkable
class Removable(Protocol):
    """Taking single dead letters out of their channel for good (redrive and purge)."""

    async def remove(self, channel: str, positions: Sequence[str]) -> int:
        """Remove these; how many were there. Durable when it returns."""
        ...


@runtime_checkable
class Measurable(Protocol):
    """Knowing how far behind a group is."""

    async def backlog(self, channel: str, group: str) -> Backlog:
        """What `group` has not settled in `channel`."""
        ...


class Memory(Protocol):
    """What a channel remembers beside its events, as one commit sees it: all commits before, and itself."""

    def get(self, name: str) -> bytes | None:
        """What was put under this name last."""
        ...

    def put(self, name: str, value: bytes) -> None:
        """Remember this under `name`, instead of what was there."""
        ...

    def known(self, identities: Sequence[bytes]) -> set[bytes]:
        """Those of them that were remembered; each is kept for a day at the least."""
        ...

    def remember(self, identities: Sequence[bytes]) -> None:
        """Keep these from now on."""
        ...


Choose = Callable[[Memory], Sequence[Event]]
"""Decides, by what is remembered, which events are stored, and has the memory remember what comes of it."""


@runtime_checkable
class Remembering(Protocol):
    """Deciding what to store by what was stored, in one commit: what makes once of at-least-once."""

    async def publish_chosen(self, channel: str, choose: Choose, *, size: int) -> None:
        """Store the events that `choose` gives, and what it has the memory remember: both are durable when this
        returns. Raises as `Transport.publish`, for all of it together: then nothing is stored, or nobody knows
        (`PublishError.unknown`). Safe to call concurrently, each call is one commit. Cancelling it leaves the outcome
        unknown.

        `choose` is quick, raises nothing, changes nothing but the memory, and may run in another thread; only when this
        has returned does its choice count. `size`: most bytes that the chosen events may have.
        """
        ...


@dataclass(frozen=True, slots=True)
class TransportContext:
    """What the gateway gives a transport besides its options."""

    name: str
    """The Transport document's name, for messages."""
    state_directory: Path | None
    """Where the embedded transport keeps its file; None = in memory."""
    on_unreadable: Callable[[str, str], None] = field(default=lambda channel, why: None)
    """Called with (channel, why) for a stored record that is no event (any more). The transport keeps
    the bytes durably — `wire.unreadable.wrapped`, published to `dead_letters_of(channel)`, before the
    record is settled — and goes on; the gateway counts and logs. Also for events that it finds gone without anybody
    having settled them: a queue that was deleted, offsets that retention removed."""
    on_lost: Callable[[TransportError], None] = field(default=lambda error: None)
    """May be called when a connection is lost that nobody may use for long (one that only publishes): the gateway opens
    the transport anew, as after a `ConnectionLost` that somebody meets, instead of calling it ready until then."""
    on_fatal: Callable[[str], None] = field(default=lambda why: None)
    """Called once when nothing this transport says can be trusted any more (a failed sync): the
    gateway stops the process, and the next one reads what is really on the disk."""
