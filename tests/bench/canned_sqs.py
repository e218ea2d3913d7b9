"""An SQS that stores nothing: it answers every send, and every poll with ten of what was sent last.

python -m tests.bench.canned_sqs PORT
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import sys
from typing import Any, cast

import msgspec
import uvloop

Message = dict[str, Any]

_numbers = itertools.count()


class Connection(asyncio.Protocol):
    """Answers one request after the other."""

    last: list[Message]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            lines = self._buffer[:end].decode().lower().split("\r\n")[1:]
            headers = dict(line.split(": ", 1) for line in lines)
            whole = end + 4 + int(headers["content-length"])
            if len(self._buffer) < whole:
                return
            payload = msgspec.json.decode(self._buffer[end + 4 : whole])
            self._buffer = self._buffer[whole:]
            body = msgspec.json.encode(_answer(headers["x-amz-target"].partition(".")[2], payload))
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


def _answer(action: str, payload: dict[str, Any]) -> dict[str, Any]:
    match action:
        case "sendmessagebatch":
            Connection.last = payload["Entries"]
            return {
                "Successful": [
                    {"Id": one["Id"], "MessageId": one["Id"], "MD5OfMessageBody": _md5(one)}
                    for one in payload["Entries"]
                ]
            }
        case "receivemessage":
            return {"Messages": [_received(one) for one in Connection.last]}
        case "deletemessagebatch" | "changemessagevisibilitybatch":
            return {"Successful": [{"Id": one["Id"]} for one in payload["Entries"]]}
        case "getqueueurl":
            return {"QueueUrl": "http://canned/1/" + payload["QueueName"]}
        case _:
            return {}


def _received(sent: Message) -> Message:
    number = str(next(_numbers))
    return {
        "MessageId": number,
        "ReceiptHandle": "h" * 200 + number,  # as long as Amazon's
        "Body": sent["MessageBody"],
        "MD5OfBody": _md5(sent),
        "Attributes": {"SentTimestamp": "1700000000000"},
        "MessageAttributes": sent["MessageAttributes"],
    }


def _md5(sent: Message) -> str:
    return hashlib.md5(sent["MessageBody"].encode(), usedforsecurity=False).hexdigest()


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
