"""A target behind a URL: transfers where another gateway is there, single CloudEvents where it is anything else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from mesh_gateway.delivery.connection import Exchange, Response
from mesh_gateway.delivery.http import (
    BODY_EXCERPT,
    HttpSettings,
    HttpSink,
    client_tls,
    request_head,
    retry_after,
)
from mesh_gateway.delivery.pool import Pool
from mesh_gateway.delivery.sink import Accepted, Outcome, Retry
from mesh_gateway.federation import answers, encoding
from mesh_gateway.federation.identity import identity
from mesh_gateway.federation.offers import wanted_part, with_unwanted
from mesh_gateway.federation.target import Manner, NotTaken, Reason, Unreached
from mesh_gateway.federation.terms import read_terms
from mesh_gateway.federation.transfer import ACCEPTED, Offer, Transfer, Verdict, Word

SINGLES = 64
"""Single events under way at once: as many as a trigger has, by the same reckoning."""

ANSWER_BYTES = 1_048_576
"""Most bytes of an answer with verdicts: 500 refusals with a reason of 2 KB each, which is eight times `WHY_LENGTH`."""

NOT_THERE: frozenset[int] = frozenset({408, 429, 502, 503, 504})
"""Answers to OPTIONS that say nothing about who is there."""


class Remote:
    """Implements `Target` for one URL. Raises `OSError` for certificates that cannot be used."""

    def __init__(self, settings: HttpSettings, *, gzip: bool) -> None:
        host, port = settings.origin
        self.address = settings.url
        self._timeout = settings.timeout
        self._gzip = gzip
        self._post = request_head(settings)
        self._ask = self._post.replace(b"POST", b"OPTIONS", 1)
        self._pool = Pool(host, port, limit=1, timeout=settings.timeout, tls=client_tls(settings))
        self._sink = HttpSink(settings)
        self._batches = self._offers = False

    async def meet(self) -> Manner:
        """As `Target.meet`: another gateway says in its answer to OPTIONS that it takes transfers."""
        request = b"%b%b: %b\r\ncontent-length: 0\r\n\r\n" % (
            self._ask, encoding.TRANSFER, encoding.VERSION,
        )  # fmt: skip
        response = await self._exchange(request)
        if response.status in (401, 403) or response.status in NOT_THERE:
            raise _unreached(response)
        headers = {name.lower(): value for name, value in response.headers}
        terms = read_terms(headers)
        if response.status == 404 and encoding.TRANSFER in headers:
            raise _unreached(response)  # a gateway, without such a broker
        if self._batches and response.status >= 500 and response.status != 501:
            raise _unreached(response)  # something on the way to the gateway that was there
        self._batches = terms is not None
        if terms is None:
            return Manner("singles", most_events=SINGLES)
        self._offers = terms.offers
        return Manner("batches", terms.place, terms.most_events, terms.most_bytes)

    async def send(self, transfer: Transfer) -> Sequence[Verdict | None]:
        """As `Target.send`."""
        if not self._batches:
            return await self._send_singles(transfer)
        return await (self._offer_first(transfer) if self._offers else self._send_batch(transfer))

    async def close(self) -> None:
        """As `Target.close`."""
        await self._pool.close()
        await self._sink.close()

    # ── transfers ────────────────────────────────────────────────────────────────────────────

    async def _offer_first(self, transfer: Transfer) -> Sequence[Verdict | None]:
        offer = Offer(transfer.lane, tuple(identity(event) for _, event in transfer.events))
        response = await self._post_to_gateway(*encoding.encode_offer(offer))
        if response.status != 200:
            raise _unreached(response)  # whatever it is, it says nothing of the events
        wanted = answers.decode_wanted(response.body, len(transfer.events))
        if wanted is None:
            raise Unreached("bad answer", "the answer does not say what is wanted; is there still a gateway?")
        if not any(wanted):
            return with_unwanted(wanted, ())
        return with_unwanted(wanted, await self._send_batch(wanted_part(transfer, wanted)))

    async def _send_batch(self, transfer: Transfer) -> Sequence[Verdict | None]:
        response = await self._post_to_gateway(*encoding.encode(transfer, gzip=self._gzip))
        if response.status == 413 or (response.status == 400 and _is_problem(response)):
            raise NotTaken(_said(response))
        if response.status != 200:
            raise _unreached(response)
        verdicts = answers.decode_verdicts(response.body, len(transfer.events))
        if verdicts is None:
            raise Unreached("bad answer", "the answer is no list of verdicts; is there still a gateway?")
        return verdicts

    async def _post_to_gateway(self, lines: bytes, body: bytes) -> Response:
        return await self._exchange(b"%b%b\r\n%b" % (self._post, lines, body))

    async def _exchange(self, request: bytes) -> Response:
        """One request and its answer. Raises `Unreached`."""
        loop = asyncio.get_running_loop()
        ending: asyncio.Future[Response] = loop.create_future()

        def answered(_: Any, response: Response) -> None:
            if not ending.done():
                ending.set_result(response)

        def failed(_: Any, why: str) -> None:
            if not ending.done():
                ending.set_exception(Unreached(_reason(why), why))

        exchange = Exchange(request, loop.time() + self._timeout, ANSWER_BYTES, None, answered, failed)
        self._pool.start(exchange)
        try:
            return await ending
        finally:
            # Given up, it is ended by the next sweep: the only connection is not to wait for its answer.
            exchange.deadline = 0.0

    # ── single events ────────────────────────────────────────────────────────────────────────

    async def _send_singles(self, transfer: Transfer) -> Sequence[Verdict | None]:
        """All at once, each on a connection of its own. When none was taken, the fault is the target's."""
        outcomes = await asyncio.gather(*(self._send_single(one.event) for one in transfer.events))
        verdicts = [_verdict(outcome) for outcome in outcomes]
        if not any(verdicts):
            first = next(outcome for outcome in outcomes if not isinstance(outcome, Accepted))
            after = first.after if isinstance(first, Retry) else None
            raise Unreached(_reason(first.why, first.code), first.why, after)
        return verdicts

    def _send_single(self, event: Any) -> asyncio.Future[Outcome]:
        ending: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def ended(_: Any, outcome: Outcome) -> None:
            if not ending.done():
                ending.set_result(outcome)

        self._sink.send(event, None, ended)
        return ending


def _verdict(outcome: Outcome) -> Verdict | None:
    """What the end of a single delivery means; a credential that is refused says nothing of the event."""
    if isinstance(outcome, Accepted):
        return ACCEPTED
    if isinstance(outcome, Retry) or outcome.code in (401, 403):
        return None
    return Verdict(Word.REFUSED, outcome.why, outcome.code, outcome.body)


def _unreached(response: Response) -> Unreached:
    """An answer without verdicts, as what it means for the relay."""
    why = _said(response)
    return Unreached(_reason(why, response.status), why, retry_after(response))


def _said(response: Response) -> str:
    said = _detail(response.body) or response.body[:BODY_EXCERPT].decode("utf-8", "replace")
    return f"status {response.status}{': ' if said else ''}{said}"


def _detail(body: bytes) -> str | None:
    """The sentence of an `application/problem+json`; None when the body is none (RFC 9457, 3.1.4)."""
    try:
        return _problem(body).detail
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


class _Problem(msgspec.Struct):
    detail: str | None = None


_problem = msgspec.json.Decoder(_Problem).decode


def _is_problem(response: Response) -> bool:
    """Whether a gateway says this, and not somebody on the way to it."""
    return any(name.lower() == b"content-type" and value == _PROBLEM for name, value in response.headers)


def _reason(why: str, status: int | None = None) -> Reason:
    """The word for what the HTTP client, or an answer, says."""
    match status:
        case 401:
            return "unauthorized"
        case 403:
            return "forbidden"
        case 404:
            return "not found"
        case 429:
            return "busy"
        case int() if status >= 500:
            return "unavailable"
        case int():
            return "bad answer"
    if why == "timeout":
        return "timeout"
    return "tls" if why.startswith("tls") else "bad answer" if why.startswith(_BAD) else "unreachable"


_PROBLEM = b"application/problem+json"
_BAD = ("bad response", "response ", "too many interim", "bytes without")
