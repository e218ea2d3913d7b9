"""What crosses a link, and what is said of it: a batch of numbered events, and a verdict for each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from mesh_gateway.event import Event


class Lane(NamedTuple):
    """Whose numbers these are. A sender that starts anew begins a new epoch, and in it again with 1.

    So nothing depends on what a sender remembers from before: a store that was restored from a backup cannot
    give a number twice.
    """

    cluster: str
    """The sending gateway, as its credential names it."""
    relay: str
    """`namespace/name` of its relay."""
    epoch: str
    """Unlike any other of that relay, in any of its processes."""


class Numbered(NamedTuple):
    """An event and its place in the lane: 1, 2, 3… without gaps. It keeps its number when it is sent again."""

    number: int
    event: Event


class Offer(NamedTuple):
    """The identities of events that could be sent: their sender asks which of them are wanted."""

    lane: Lane
    identities: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Transfer:
    """One batch on its way."""

    lane: Lane
    floor: int
    """All numbers up to this one have ended at the sender, so the receiver need not remember them singly."""
    events: tuple[Numbered, ...]


class Word(StrEnum):
    """What became of one event at the receiver. With each of them the sender's duty ends."""

    ACCEPTED = "accepted"
    """Durable there."""
    DUPLICATE = "duplicate"
    """It was durable there before."""
    UNWANTED = "unwanted"
    """It was durable there before it was offered, and has not crossed the link."""
    LOOPED = "looped"
    """It has been in that broker's log already; the way back is not taken."""
    REFUSED = "refused"
    """It may not go there, or not any further: it belongs with the relay's dead letters."""


class Verdict(NamedTuple):
    """The word, and for a refusal its reason."""

    word: Word
    why: str = ""
    code: int | None = None
    """The HTTP status that refused a single event."""
    body: bytes = b""
    """The beginning of what came with it."""


ACCEPTED, DUPLICATE, LOOPED = Verdict(Word.ACCEPTED), Verdict(Word.DUPLICATE), Verdict(Word.LOOPED)
UNWANTED = Verdict(Word.UNWANTED)
