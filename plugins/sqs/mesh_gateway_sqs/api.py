"""What is sent and received for every event, as it stands in SQS's JSON: entries of batches, and their answers.

Structs cost two thirds (sent) and three quarters (received) of what dicts do, and say which members count. What an answer
holds besides is passed over.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from mesh_gateway_sqs.messages import HEADERS

# ── sent ─────────────────────────────────────────────────────────────────────────────────────


class Text(msgspec.Struct, rename="pascal"):
    """A message attribute; all of ours are strings."""

    string_value: str
    data_type: Literal["String"] = "String"


class Entry(msgspec.Struct, rename="pascal"):
    """Of SendMessageBatch."""

    id: str
    message_body: str
    message_attributes: dict[str, Text]
    message_group_id: str | UnsetType = UNSET
    message_deduplication_id: str | UnsetType = UNSET


class Receipt(msgspec.Struct, rename="pascal"):
    """Of DeleteMessageBatch, and with a timeout of ChangeMessageVisibilityBatch."""

    id: str
    receipt_handle: str
    visibility_timeout: int | UnsetType = UNSET


# ── received ─────────────────────────────────────────────────────────────────────────────────


class Stored(msgspec.Struct, rename="pascal"):
    """An entry that was done; of SendMessageBatch with what was stored."""

    id: str
    md5_of_message_body: str | None = msgspec.field(name="MD5OfMessageBody", default=None)


class Failure(msgspec.Struct, rename="pascal"):
    """An entry that was not."""

    id: str
    code: str | None = None
    message: str | None = None
    sender_fault: bool = True


class Done(msgspec.Struct, rename="pascal"):
    """The answer to a batch."""

    successful: list[Stored] | None = None
    failed: list[Failure] | None = None


class System(msgspec.Struct, rename="pascal"):
    """What SQS itself says of a message."""

    sent_timestamp: str | float = "0"
    """Milliseconds."""
    message_group_id: str | None = None


class Message(msgspec.Struct, rename="pascal"):
    """One message of ReceiveMessage."""

    message_id: str
    receipt_handle: str
    body: str
    md5_of_body: str | None = msgspec.field(name="MD5OfBody", default=None)
    attributes: System | None = None
    message_attributes: msgspec.Raw = msgspec.Raw(b"null")
    """Read where they are wanted only: most are copies of what stands in the body."""

    def texts(self) -> dict[str, Any]:
        """Its message attributes by name, each with its `StringValue`."""
        return _texts(self.message_attributes) or {}

    def beside(self) -> dict[str, Any]:
        """As `texts`, but only what `messages.decode` asks for; the others are copies of what stands in the body."""
        found = _beside(self.message_attributes)
        return {HEADERS: found.headers} if found and found.headers else {}

    @property
    def damaged(self) -> bool:
        """Whether the body is another than SQS stored."""
        return self.md5_of_body not in (None, md5(self.body))


class _Beside(msgspec.Struct):
    headers: dict[str, Any] | None = msgspec.field(name=HEADERS, default=None)


class Received(msgspec.Struct, rename="pascal"):
    """The answer to ReceiveMessage."""

    messages: list[Message] | None = None


def md5(body: str) -> str:
    """As SQS tells it of a message's body: of its UTF-8."""
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()


_texts = msgspec.json.Decoder(dict[str, dict[str, Any]] | None).decode
_beside = msgspec.json.Decoder(_Beside | None).decode
done = msgspec.json.Decoder(Done).decode
received = msgspec.json.Decoder(Received).decode
document = msgspec.json.Decoder(dict[str, Any]).decode
"""Any other answer."""
