"""A strict Amazon SQS in this process: its JSON protocol over HTTP on 127.0.0.1, and trouble on demand.

    async with FakeSqs(ManualClock(), {"key": "secret"}) as fake:
        fake.trouble("SendMessageBatch", Trouble(503))
        …                                             fake.endpoint, fake.requests, fake.queues

Nothing ends by real time but a long poll, after `longest_poll` seconds: no test has to wait for the twenty of SQS.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from plugins.sqs.tests.fake_queues import LARGEST, Clock, Queue, Refusal, size_of

REGION = "us-east-1"
BATCH = 10
IN_FLIGHT = {False: 120_000, True: 20_000}
"""Of a standard and of a FIFO queue."""

_id = re.compile(r"[A-Za-z0-9_-]{1,80}")
_authorization = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>\d{8}/[^/]+/sqs/aws4_request), "
    r"SignedHeaders=(?P<signed>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a request meets: an answer, or with `close` a connection that ends; before or after it is `done`."""

    status: int = 500
    code: str = "InternalFailure"
    close: bool = False
    done: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One line of the log."""

    action: str
    payload: dict[str, Any]

    @property
    def entries(self) -> list[dict[str, Any]]:
        return list(self.payload.get("Entries") or [])


class FakeSqs:
    """The server and its queues. It can be stopped and started again at the same port, with what it holds."""

    def __init__(
        self,
        clock: Clock,
        keys: Mapping[str, str],
        *,
        in_flight: int | None = None,
        longest_poll: float = 0.05,
    ) -> None:
        self._clock, self.in_flight, self._longest_poll = clock, in_flight, longest_poll
        self.keys = dict(keys)
        """Access key -> secret key."""
        self.expired: dict[str, int] = {}
        """Access key -> the status that `ExpiredToken` is told with."""
        self.allowed: dict[str, set[str]] = {}
        """Access key -> the actions that it may do; all where it is not named."""
        self.port = 0
        self.queues: dict[str, Queue] = {}
        self.requests: list[Request] = []
        self.arrived = asyncio.Condition()
        """Notified of each request that was answered."""
        self._troubles: defaultdict[str, deque[Trouble]] = defaultdict(deque)
        self._refused: defaultdict[str, dict[int, Refusal]] = defaultdict(dict)
        self._edits: defaultdict[str, deque[Callable[[dict[str, Any]], None]]] = defaultdict(deque)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    # ── trouble ──────────────────────────────────────────────────────────────────────────────

    def trouble(self, action: str, *troubles: Trouble) -> None:
        """What the next requests of this action meet, one after the other."""
        self._troubles[action].extend(troubles)

    def refuse(self, action: str, index: int, refusal: Refusal) -> None:
        """Refuse this entry of the action's next batch."""
        self._refused[action][index] = refusal

    def edit(self, action: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the answer to the action's next request that succeeds."""
        self._edits[action].append(change)

    def of(self, action: str) -> list[Request]:
        """The requests of this action so far."""
        return [request for request in self.requests if request.action == action]

    async def until(self, action: str, count: int) -> None:
        """Wait until so many requests of this action have been answered."""
        async with asyncio.timeout(20), self.arrived:
            await self.arrived.wait_for(lambda: len(self.of(action)) >= count)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, limit=2**16)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End every connection."""
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    # ── HTTP ─────────────────────────────────────────────────────────────────────────────────

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client or the test has ended it
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether the connection goes on."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        target = headers.get("x-amz-target", "")
        action = target.removeprefix("AmazonSQS.")
        try:
            self._greet(first, target, headers, body)
            payload = json.loads(body)
        except Refusal as refusal:
            return await _answer(writer, *_error(refusal))
        troubles = self._troubles[action]
        trouble = troubles.popleft() if troubles else None
        try:
            done = None if trouble is not None and not trouble.done else await self._do(action, payload)
        except KeyError as missing:
            answer = _error(Refusal("MissingParameter", f"{action} needs {missing}"))
        except Refusal as refusal:
            answer = _error(refusal)
        else:
            answer = 200, done or {}
        async with self.arrived:
            self.requests.append(Request(action, payload))
            self.arrived.notify_all()
        if trouble is None:
            return await _answer(writer, *answer)
        if trouble.close:
            return False
        return await _answer(writer, *_error(Refusal(trouble.code, "as the test wants it", trouble.status)))

    def _greet(self, first: str, target: str, headers: dict[str, str], body: bytes) -> None:
        """What is checked before anybody looks at what is wanted."""
        if first != "POST / HTTP/1.1" or not target.startswith("AmazonSQS."):
            raise Refusal("InvalidAction", "a POST to /, with X-Amz-Target")
        if headers.get("content-type") != "application/x-amz-json-1.0":
            raise Refusal("InvalidAction", "the content type is application/x-amz-json-1.0")
        found = _authorization.fullmatch(headers.get("authorization", ""))
        if found is None:
            raise Refusal("MissingAuthenticationToken", "the request is not signed", 403)
        if found["key"] not in self.keys:
            raise Refusal("InvalidClientTokenId", "the security token is invalid", 403)
        signed = found["signed"].split(";")
        if not {"host", "x-amz-date", "x-amz-target"} <= set(signed) or signed != sorted(signed):
            raise Refusal("IncompleteSignature", "host, x-amz-date and x-amz-target are signed", 403)
        if not hmac.compare_digest(self._signature(found, signed, headers, body), found["signature"]):
            raise Refusal("SignatureDoesNotMatch", "the signature is not that of the secret key", 403)
        if found["key"] in self.expired:
            raise Refusal("ExpiredToken", "the security token is expired", self.expired[found["key"]])
        wanted = target.removeprefix("AmazonSQS.").removesuffix("Batch")
        if wanted not in self.allowed.get(found["key"], {wanted}):
            raise Refusal(
                "AccessDeniedException", f"User: arn:aws:iam::0:user/u is not authorized to sqs:{wanted}", 403
            )

    def _signature(
        self, found: re.Match[str], signed: list[str], headers: dict[str, str], body: bytes
    ) -> str:
        lines = [f"{name}:{headers.get(name, '')}" for name in signed]
        canonical = "\n".join(
            ["POST", "/", "", *lines, "", found["signed"], hashlib.sha256(body).hexdigest()]
        )
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{headers.get('x-amz-date', '')}\n{found['scope']}\n{hashed}"
        key = f"AWS4{self.keys[found['key']]}".encode()
        for part in (*found["scope"].split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        return key.hex()

    # ── the API ──────────────────────────────────────────────────────────────────────────────

    async def _do(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        match action:
            case "ListQueues":
                prefix = payload.get("QueueNamePrefix", "")
                answer: dict[str, Any] = {
                    "QueueUrls": [self._url(q) for q in self.queues if q.startswith(prefix)]
                }
            case "GetQueueUrl":
                answer = {"QueueUrl": self._url(self._queue(payload["QueueName"]).name)}
            case "CreateQueue":
                answer = self._create(payload["QueueName"], payload.get("Attributes") or {})
            case "GetQueueAttributes":
                answer = {"Attributes": self._queue(payload["QueueUrl"]).attributes()}
            case "ReceiveMessage":
                answer = await self._receive(payload)
            case "SendMessageBatch":
                queue = self._queue(payload["QueueUrl"])
                if sum(size_of(entry) for entry in payload["Entries"]) > LARGEST:
                    raise Refusal("BatchRequestTooLong", f"a batch has {LARGEST} bytes at most")
                answer = self._batch(action, payload, queue.send)
            case "DeleteMessageBatch":
                queue = self._queue(payload["QueueUrl"])
                answer = self._batch(action, payload, lambda entry: queue.delete(entry["ReceiptHandle"]))
            case "ChangeMessageVisibilityBatch":
                queue = self._queue(payload["QueueUrl"])
                answer = self._batch(
                    action,
                    payload,
                    lambda entry: queue.change(entry["ReceiptHandle"], entry["VisibilityTimeout"]),
                )
            case _:
                raise Refusal("InvalidAction", f"this fake knows no {action}")
        if edits := self._edits[action]:
            edits.popleft()(answer)
        return answer

    def _url(self, name: str) -> str:
        return f"{self.endpoint}/000000000000/{name}"

    def _queue(self, url: str) -> Queue:
        found = self.queues.get(url.rpartition("/")[2])
        if found is None:
            raise Refusal("QueueDoesNotExist", "the specified queue does not exist")
        return found

    def _create(self, name: str, settings: dict[str, str]) -> dict[str, Any]:
        found = self.queues.get(name)
        if found is None:
            cap = self.in_flight or IN_FLIGHT[name.endswith(".fifo")]
            self.queues[name] = Queue(name, dict(settings), self._clock, cap)
        elif settings.items() - found.settings.items():
            raise Refusal("QueueNameExists", "a queue of this name has other settings")
        return {"QueueUrl": self._url(name)}

    async def _receive(self, payload: dict[str, Any]) -> dict[str, Any]:
        queue = self._queue(payload["QueueUrl"])
        visibility = float(payload.get("VisibilityTimeout", queue.settings.get("VisibilityTimeout", 30)))
        wait = min(float(payload.get("WaitTimeSeconds", 0)), self._longest_poll)
        try:
            async with asyncio.timeout(wait):
                while True:
                    changed = queue.changed
                    found = queue.receive(payload.get("MaxNumberOfMessages", 1), visibility)
                    if found or queue.name not in self.queues:
                        break
                    await changed.wait()
        except TimeoutError:
            found = []
        return {"Messages": found} if found else {}

    def _batch(
        self, action: str, payload: dict[str, Any], do: Callable[[dict[str, Any]], dict[str, Any] | None]
    ) -> dict[str, Any]:
        entries = payload["Entries"]
        if not entries:
            raise Refusal("EmptyBatchRequest", "no entries")
        if len(entries) > BATCH:
            raise Refusal(
                "TooManyEntriesInBatchRequest", f"{len(entries)} entries instead of {BATCH} at most"
            )
        ids = [entry["Id"] for entry in entries]
        if len(set(ids)) < len(ids):
            raise Refusal("BatchEntryIdsNotDistinct", "two entries have one Id")
        if not all(_id.fullmatch(id) for id in ids):
            raise Refusal("InvalidBatchEntryId", "an Id has 1 to 80 letters, digits, hyphens and underscores")
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        refused = self._refused.pop(action, {})
        for index, entry in enumerate(entries):
            try:
                if index in refused:
                    raise refused[index]
                answer["Successful"].append({"Id": entry["Id"], **(do(entry) or {})})
            except Refusal as why:
                fault = {
                    "Id": entry["Id"],
                    "Code": why.code,
                    "Message": why.message,
                    "SenderFault": why.sender,
                }
                answer["Failed"].append(fault)
        return answer


def _error(refusal: Refusal) -> tuple[int, dict[str, Any]]:
    return refusal.status, {"__type": f"com.amazonaws.sqs#{refusal.code}", "message": refusal.message}


async def _answer(writer: asyncio.StreamWriter, status: int, document: dict[str, Any]) -> bool:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status} -\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    return True
