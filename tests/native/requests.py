"""Requests for a native part to read: usual ones, and ones that are almost usual."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from tests.bench import events
from tests.ingress.mutants import BITS, GOOD
from tests.ingress.serving import event, event_lines, head

EXPLICIT = event_lines(
    "a-1",
    subject="order/1",
    time="2026-12-31T23:59:59.5+01:00",
    dataschema="http://a/b#c",
    tenant="acme",
    empty=None,
)
EXPLICIT_REQUEST = head(*EXPLICIT, "CONTENT-TYPE: text/plain; charset=utf-16", "Content-Length: 0001") + b"x"
"""With every attribute that has a form of its own."""

USUAL = (
    events.binary(),
    events.binary(events.TRACING),
    event("1", b'{"a": 1}'),
    event("2", b"", "user-agent: curl/8.5.0", "accept: */*"),
    event("3", b"x", "Connection: keep-alive", "Accept-Encoding: gzip, deflate", "traceparent: 00-a-b-01"),
    event("4", b"x", "x-b3-traceid: 1", "knative-a: b c", "X-Request-Id: 7", "baggage: k=v;p"),
    event("5", b"x", "x: y", "x: z", "Accept: a", "accept: b"),
    EXPLICIT_REQUEST,
    head(*EXPLICIT) + event("next"),
    event("6", b"x", path="/a/b/"),
)
"""What producers send: all of it is read by the native part."""

NAMES = (
    "host", "Host", "content-length", "Content-Length", "content-type", "content-encoding", "transfer-encoding",
    "connection", "proxy-connection", "keep-alive", "upgrade", "te", "trailer", "expect", "authorization", "user-agent",
    "k-network-probe", "k-network-hash", "mesh-transfer", "mesh-numbers", "ce-specversion", "ce-id", "ce-source",
    "ce-type", "ce-subject", "ce-time", "ce-dataschema", "ce-schemaurl", "ce-data", "ce-datacontenttype",
    "ce-datacontentencoding", "ce-tenant", "CE-Tenant", "ce-a-b", "ce-a_b", "ce-", "ce", "traceparent", "tracestate",
    "baggage", "x-b3-", "x-b3-sampled", "knative-", "knative-x", "x-request-id", "x", "x_y", "a.b", "a:b", " a", "a ", "",
)  # fmt: skip
VALUES = (
    "a", "shop.example:80", "a/b", "0", "1", "12", "007", "+1", "1,1", "-1", "9" * 18, "9" * 19, "application/json",
    "application/cloudevents+json", "Application/CloudEvents-batch+json", "application/cloudevents", "text/plain; charset=x",
    "keep-alive", "Keep-Alive", "close", "keep-alive, close", "upgrade", "h2c", "websocket", "chunked", "identity", "gzip",
    "100-continue", "kube-probe/1.29", "kube-probe/", "kube-probe", "probe", "1.0", "0.3", "1.1", "order/12345", "/a/b?c#d",
    "http://a/b", "a:b", "1:b", "9a:", "+a:b", "::", "%20", "a b", '"a"', 'a"b', "a\tb", "a\\b", "a|b", "{}", "\u00e9", "\x7f",
    "2026-10-01T12:00:00Z", "2026-10-01T12:00:00.1Z", "2026-10-01T12:00:00.Z", "2026-10-01t12:00:00z", "2026-02-29T00:00:00Z",
    "2026-13-01T12:00:00Z", "2026-10-01T24:00:00Z", "2026-10-01T23:60:00Z", "2026-10-01T23:59:60Z", "2026-10-01T12:00:00+01:00",
    "2026-06-31T12:00:00Z", "2026-12-31T12:00:00-24:00", "2026-12-31T12:00:00.5-23:60", "0000-00-00T00:00:00Z", "", " ", " a", "a ", "x" * 70, "x" * 9_000,
)  # fmt: skip

lines = st.builds(
    "{}:{}{}".format, st.sampled_from(NAMES), st.sampled_from(["", " ", "  ", "\t"]), st.sampled_from(VALUES)
)
firsts = st.sampled_from(
    ["POST /shop/orders HTTP/1.1"] * 8
    + [
        "POST / HTTP/1.1", "POST /a/b/ HTTP/1.1", "POST /a?b HTTP/1.1", "POST /a%2fb HTTP/1.1", "POST http://a/b HTTP/1.1",
        "POST /a HTTP/1.0", "POST /a HTTP/2.0", "POST /a HTTP/1.1 ", "post /a HTTP/1.1", "POST  /a HTTP/1.1", "GET /a HTTP/1.1",
        "POST * HTTP/1.1", "POST //a HTTP/1.1", "POST /a/../b HTTP/1.1", "POST /[a] HTTP/1.1", "POST /\u00e9 HTTP/1.1",
    ]
)  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request like the usual ones, with a few lines more, or other, or fewer; and perhaps some of the next."""
    usual = [
        "host: a",
        *event_lines("1", subject="s", time="2026-10-01T12:00:00.123456Z", tenant="acme"),
        "content-type: application/json",
        "content-length: 2",
        "traceparent: 00-1-2-01",
    ]
    kept = [line for line in usual if not draw(st.booleans()) or draw(st.booleans())]
    for line in draw(st.lists(lines, max_size=3)):
        kept.insert(draw(st.integers(0, len(kept))), line)
    whole = "\r\n".join([draw(firsts), *kept]) + "\r\n\r\n"
    return whole.encode("latin-1") + draw(st.sampled_from([b"", b"{", b"{}", b"{}POST"]))


def mutant(chance: random.Random) -> bytes:
    """A usual request, or another good one, with one or two small things done to it."""
    raw = bytearray(chance.choice(USUAL if chance.random() < 0.8 else GOOD))
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(min(len(raw), 400) + 1)
        match chance.randrange(5):
            case 0:
                raw[at:at] = chance.choice(BITS)
            case 1:
                del raw[at : at + chance.randint(1, 4)]
            case 2 if at < len(raw):
                raw[at] = chance.randrange(256)
            case 3 if at < len(raw):
                raw[at] ^= 0x20
            case _:
                del raw[at:]
    return bytes(raw)
