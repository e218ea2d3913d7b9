"""Queues of the strict fake: what Amazon's documentation says of them, and where it leaves a choice, the harder way.

A receipt handle is good for one receive and until its visibility ends; a delete with an older one deletes nothing
and says that it worked. Nothing here waits: what ends with time ends by the clock that is given.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import struct
import uuid
from dataclasses import dataclass, field
from typing import Any, Protocol

LARGEST = 1_048_576
MOST_VISIBILITY = 43_200
DEDUPLICATION_SECONDS = 300.0

_legal = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
_name = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_token = re.compile(r"[!-~]{1,128}")
_handle = re.compile(r"handle/(?P<id>[0-9a-f-]{36})/(?P<receive>[0-9]+)")


class Refusal(Exception):
    """An error of the API, of a request or of one entry of a batch."""

    def __init__(self, code: str, message: str = "", status: int = 400, *, sender: bool = True) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status, self.sender = code, message, status, sender


class Clock(Protocol):
    """`ManualClock`, or the event loop itself."""

    def time(self) -> float: ...
    def call_at(self, when: float, callback: Any, *args: Any) -> Any: ...


@dataclass(slots=True, eq=False)
class Message:
    body: str
    attributes: dict[str, dict[str, str]]
    group: str | None
    sent: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    visible_at: float = 0.0
    receives: int = 0
    taken_at: float = 0.0


class Queue:
    """One queue. `cap` = how many messages may be in flight at a time."""

    def __init__(self, name: str, settings: dict[str, str], clock: Clock, cap: int) -> None:
        self.name, self.settings, self.cap = name, settings, cap
        self.fifo = settings.get("FifoQueue") == "true"
        if self.fifo != name.endswith(".fifo") or not _name.fullmatch(name.removesuffix(".fifo")):
            raise Refusal("InvalidParameterValue", "a queue's name ends in .fifo exactly when it is one")
        self._clock = clock
        self.messages: dict[str, Message] = {}
        self.changed = asyncio.Event()
        """Set and replaced whenever a message may have become visible."""
        self._sent: dict[str, tuple[float, Message]] = {}

    # ── sending ──────────────────────────────────────────────────────────────────────────────

    def send(self, entry: dict[str, Any]) -> dict[str, Any]:
        body, attributes = entry["MessageBody"], entry.get("MessageAttributes") or {}
        _check_texts(body, attributes)
        if size_of(entry) > int(self.settings.get("MaximumMessageSize", LARGEST)):
            raise Refusal(
                "InvalidParameterValue", "the message is longer than the queue's MaximumMessageSize"
            )
        message = Message(body, attributes, entry.get("MessageGroupId"), self._clock.time())
        if self.fifo:
            message = self._once(entry, message)
        elif "MessageDeduplicationId" in entry:
            raise Refusal("InvalidParameterValue", "MessageDeduplicationId is for FIFO queues")
        else:
            self._store(message)
        answer = {"MessageId": message.id, "MD5OfMessageBody": hashlib.md5(body.encode()).hexdigest()}
        return answer | ({"MD5OfMessageAttributes": md5_of(attributes)} if attributes else {})

    def _once(self, entry: dict[str, Any], message: Message) -> Message:
        """The message, or the one of the last five minutes that it repeats."""
        key = entry.get("MessageDeduplicationId")
        if key is None and self.settings.get("ContentBasedDeduplication") == "true":
            key = hashlib.sha256(message.body.encode()).hexdigest()
        for value, name in ((message.group, "MessageGroupId"), (key, "MessageDeduplicationId")):
            if value is None:
                raise Refusal("MissingParameter", f"a message of a FIFO queue has a {name}")
            if not _token.fullmatch(value):
                raise Refusal("InvalidParameterValue", f"{name} has 1 to 128 printable characters")
        assert key is not None
        before = self._sent.get(key)
        if before is not None and self._clock.time() - before[0] < DEDUPLICATION_SECONDS:
            return before[1]
        self._sent[key] = (self._clock.time(), message)
        self._store(message)
        return message

    def _store(self, message: Message) -> None:
        self.messages[message.id] = message
        self._tell()

    def _tell(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    # ── receiving ────────────────────────────────────────────────────────────────────────────

    def in_flight(self) -> list[Message]:
        now = self._clock.time()
        return [
            message for message in self.messages.values() if message.receives and message.visible_at > now
        ]

    def receive(self, limit: int, visibility: float) -> list[dict[str, Any]]:
        if not 1 <= limit <= 10 or not 0 <= visibility <= MOST_VISIBILITY:
            raise Refusal(
                "InvalidParameterValue", "MaxNumberOfMessages is 1 to 10, VisibilityTimeout 0 to 43200"
            )
        now = self._clock.time()
        retention = float(self.settings.get("MessageRetentionPeriod", 345_600))
        self.messages = {id: one for id, one in self.messages.items() if now - one.sent < retention}
        flying = self.in_flight()
        room = self.cap - len(flying)
        if room <= 0 and not self.fifo:
            raise Refusal("OverLimit", "too many messages of the queue are in flight")
        blocked = {message.group for message in flying} if self.fifo else set()
        free = [m for m in self.messages.values() if m.visible_at <= now and m.group not in blocked]
        return [self._take(message, visibility) for message in free[: max(0, min(limit, room))]]

    def _take(self, message: Message, visibility: float) -> dict[str, Any]:
        message.receives += 1
        message.taken_at = self._clock.time()
        self._hide(message, visibility)
        system = {
            "SentTimestamp": str(round(message.sent * 1000)),
            "ApproximateReceiveCount": str(message.receives),
        }
        return {
            "MessageId": message.id,
            "ReceiptHandle": f"handle/{message.id}/{message.receives}",
            "Body": message.body,
            "MD5OfBody": hashlib.md5(message.body.encode()).hexdigest(),
            "MessageAttributes": message.attributes,
            "Attributes": system | ({"MessageGroupId": message.group} if message.group else {}),
        }

    def _hide(self, message: Message, seconds: float) -> None:
        message.visible_at = self._clock.time() + seconds
        self._clock.call_at(message.visible_at, self._tell)

    # ── receipts ─────────────────────────────────────────────────────────────────────────────

    def delete(self, handle: str) -> None:
        """With a handle that is no longer good: nothing, and on standard queues without a word."""
        message, good = self._of(handle)
        if message is not None and good:
            del self.messages[message.id]
            self._tell()  # its group may go on
        elif self.fifo and message is not None:
            raise Refusal("InvalidParameterValue", "the receipt handle has expired")

    def change(self, handle: str, seconds: float) -> None:
        """Another visibility, from now."""
        message, good = self._of(handle)
        if message is None:
            raise Refusal("InvalidParameterValue", "the message does not exist")
        if not good:
            raise Refusal("MessageNotInflight", "the message is not in flight for this handle")
        if not 0 <= seconds <= MOST_VISIBILITY:
            raise Refusal("InvalidParameterValue", "VisibilityTimeout is 0 to 43200")
        if self._clock.time() + seconds - message.taken_at > MOST_VISIBILITY:
            raise Refusal(
                "InvalidParameterValue", "total VisibilityTimeout is beyond the limit [43200 seconds]"
            )
        self._hide(message, seconds)
        if not seconds:
            self._tell()

    def _of(self, handle: str) -> tuple[Message | None, bool]:
        """The message, and whether the handle is its newest and it is in flight."""
        read = _handle.fullmatch(handle)
        if read is None:
            raise Refusal("ReceiptHandleIsInvalid", "the receipt handle is not one of this queue")
        message = self.messages.get(read["id"])
        if message is None:
            return None, False
        return message, message.receives == int(read["receive"]) and message.visible_at > self._clock.time()

    def attributes(self) -> dict[str, str]:
        flying = len(self.in_flight())
        return self.settings | {
            "ApproximateNumberOfMessages": str(len(self.messages) - flying),
            "ApproximateNumberOfMessagesNotVisible": str(flying),
            "ApproximateNumberOfMessagesDelayed": "0",
        }


def _check_texts(body: str, attributes: dict[str, dict[str, str]]) -> None:
    if not body:
        raise Refusal("MissingParameter", "the body is empty")
    if len(attributes) > 10:
        raise Refusal("InvalidParameterValue", "a message has 10 attributes at most")
    for name, value in attributes.items():
        if not _name.fullmatch(name) or value["DataType"] != "String":
            raise Refusal("InvalidParameterValue", f"attribute {name!r} has a wrong name or type")
        if not value["StringValue"]:
            raise Refusal("InvalidParameterValue", f"attribute {name} is empty")
    for text in (body, *(value["StringValue"] for value in attributes.values())):
        if not _legal.fullmatch(text):
            raise Refusal("InvalidMessageContents", "a character that XML 1.0 does not have")


def size_of(entry: dict[str, Any]) -> int:
    """Bytes of a message as SQS counts them."""
    attributes = (entry.get("MessageAttributes") or {}).items()
    texts = [text for name, value in attributes for text in (name, value["DataType"], value["StringValue"])]
    return sum(len(text.encode()) for text in (entry["MessageBody"], *texts))


def md5_of(attributes: dict[str, dict[str, str]]) -> str:
    """Of message attributes, as Amazon's guide computes it."""
    digest = hashlib.md5()
    for name, value in sorted(attributes.items()):
        for text in (name, value["DataType"]):
            digest.update(struct.pack("!I", len(text.encode())) + text.encode())
        text = value["StringValue"].encode()
        digest.update(b"\x01" + struct.pack("!I", len(text)) + text)
    return digest.hexdigest()
