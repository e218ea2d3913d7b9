"""Calls of the SQS API, in its JSON protocol, and what their errors mean. Credentials as AWS's own tools find them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from botocore import exceptions as botocore_errors
from botocore import session as botocore_session

from mesh_gateway.errors import ChannelGone, ConnectionLost, NotPermitted, Throttled, TransportError
from mesh_gateway_sqs.connection import Broken
from mesh_gateway_sqs.http import Http, Unsent
from mesh_gateway_sqs.options import SqsOptions
from mesh_gateway_sqs.signing import Credentials, Signer

log = logging.getLogger(__name__)

T = TypeVar("T")

CALL_SECONDS = 10.0
"""For a call that does not wait for messages."""

KEEP_SECONDS = 60.0
"""Credentials are asked for again after this; botocore refreshes a role's a quarter of an hour before they end."""

DENIED = {
    "AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch",
    "InvalidSecurity", "MissingAuthenticationToken", "OptInRequired", "KmsAccessDenied", "InvalidAccessKeyId",
    "IncompleteSignature",
}  # fmt: skip
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
GONE = {"QueueDoesNotExist", "NonExistentQueue", "AWS.SimpleQueueService.NonExistentQueue"}
SLOWER = {
    "RequestThrottled",
    "ThrottlingException",
    "Throttling",
    "OverLimit",
    "QueueDeletedRecently",
    "KmsThrottled",
}


class Unknown(TransportError):
    """The request went out and its outcome is unknown."""


class Sqs:
    """Calls. Safe to call concurrently; `open` finds endpoint and credentials."""

    def __init__(self, options: SqsOptions) -> None:
        self._options = options
        self._session = botocore_session.Session(profile=options.profile)
        self._found: Credentials | None = None
        self._found_at = 0.0
        self._asking = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None
        self._http: Http | None = None
        self._signer: Signer

    async def open(self) -> None:
        """Find region, endpoint and credentials. Raises `NotPermitted` or `ConnectionLost` with the way out."""
        try:
            region, endpoint = await asyncio.to_thread(self._where)
        except botocore_errors.BotoCoreError as error:
            raise NotPermitted(f"the AWS configuration cannot be used: {error}") from error
        if region is None:
            raise ConnectionLost("no AWS region: set the option region, or AWS_REGION")
        self._http = Http(endpoint or f"https://sqs.{region}.amazonaws.com")
        self._signer = Signer(self._http.host, region)
        await self._credentials()

    def _where(self) -> tuple[str | None, str | None]:
        region = (
            self._options.region
            or os.environ.get("AWS_REGION")
            or self._session.get_config_variable("region")
        )
        endpoint = (
            self._options.endpoint
            or os.environ.get("AWS_ENDPOINT_URL_SQS")
            or os.environ.get("AWS_ENDPOINT_URL")
        )
        return region, endpoint

    async def close(self) -> None:
        """Disconnect."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])
        if self._http is not None:
            await self._http.close()

    async def call(
        self, action: str, payload: dict[str, Any], read: Callable[[bytes], T], seconds: float = CALL_SECONDS
    ) -> T:
        """One call; `read` makes sense of its answer. Raises `TransportError`; `Unknown` when it may have been done."""
        if self._http is None:
            raise ConnectionLost("SQS is not connected", retry_after=1)
        body = msgspec.json.encode(payload)
        for again in (True, False):
            credentials = await self._credentials()
            headers = self._signer.headers(f"AmazonSQS.{action}", body, credentials)
            try:
                status, answer = await self._http.post(headers, body, seconds)
            except Unsent as error:
                raise ConnectionLost(f"SQS: {error}", retry_after=1) from error
            except (Broken, TimeoutError) as error:
                raise Unknown(
                    f"SQS has not answered {action}: {str(error) or 'no answer in time'}"
                ) from error
            if status == 200:
                try:
                    return read(answer or b"{}")
                except msgspec.DecodeError as error:
                    raise Unknown(f"SQS answered {action} with what is no answer to it: {error}") from error
            kind, text = _error(answer)
            if kind in EXPIRED and again:
                self._found = None
                continue
            raise _meant(
                status, kind, text, action, str(payload.get("QueueUrl", payload.get("QueueName", "")))
            )
        raise AssertionError("unreachable: the second round returns or raises")

    async def _credentials(self) -> Credentials:
        found = self._found
        if found is None:
            async with self._asking:
                found = self._found
                if found is None:
                    found = self._found = await asyncio.to_thread(self._ask)
                    self._found_at = time.monotonic()
        elif time.monotonic() - self._found_at > KEEP_SECONDS and not self._asking.locked():
            self._found_at = time.monotonic()
            self._renewing = asyncio.create_task(self._renew(), name="sqs renews its credentials")
        return found

    async def _renew(self) -> None:
        """Beside the calls: their source may be away for minutes, and those that we have are good for longer."""
        async with self._asking:
            try:
                self._found = await asyncio.to_thread(self._ask)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is met again when these are refused
                log.warning("AWS credentials could not be renewed, those from before are used on: %s", error)

    def _ask(self) -> Credentials:
        try:
            found = self._session.get_credentials()
            frozen = None if found is None else found.get_frozen_credentials()
        except botocore_errors.BotoCoreError as error:
            raise NotPermitted(f"no AWS credentials: {error}") from error
        if frozen is None:
            raise NotPermitted(
                "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role"
            )
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)


def _error(answer: bytes) -> tuple[str, str]:
    try:
        found = msgspec.json.decode(answer)
    except msgspec.DecodeError:
        return "", answer[:200].decode("utf-8", "replace")
    if not isinstance(found, dict):
        return "", ""
    kind = str(found.get("__type", "")).rpartition("#")[2]
    return kind, str(found.get("message") or found.get("Message") or "")


def _meant(status: int, kind: str, text: str, action: str, queue: str) -> TransportError:
    # What the error is called goes before its status: SQS has told some of these with 400 and with 403.
    said = f"{kind} {text}".strip() or f"status {status}"
    if kind in GONE:
        return ChannelGone(f"queue {queue} does not exist ({action})")
    if kind in SLOWER or status == 429:
        return Throttled(f"SQS asks us to slow down ({action}): {said}", retry_after=1)
    if kind in DENIED | EXPIRED or status in (401, 403):
        return NotPermitted(
            f"AWS does not allow sqs:{action.removesuffix('Batch')} on {queue or 'SQS'}: {said}"
        )
    if status >= 500:
        return Unknown(f"SQS failed ({action}): {said}")
    return TransportError(f"SQS refused {action} on {queue}: {said}")
