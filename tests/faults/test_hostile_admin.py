"""What a web page, a stranger and a fool may send to the admin API of a whole process."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.faults.figures import memory
from tests.harness import PATIENCE, GatewayProcess, Subscriber, running

DOCUMENTS = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: t}}
spec: {{broker: b, subscriber: {{uri: "{url}/"}}}}
"""

LOCAL = "host: 127.0.0.1"
JSON = "content-type: application/json"
REDRIVE = "/api/v1/dead-letters/default/b/redrive"


def request(method: str, target: str, *lines: str, body: bytes = b"") -> bytes:
    head = [f"{method} {target} HTTP/1.1", *lines, f"content-length: {len(body)}", "connection: close"]
    return ("\r\n".join(head) + "\r\n\r\n").encode("utf-8", "surrogatepass") + body


async def told(port: int, raw: bytes) -> tuple[int, str]:
    """The status and the whole answer; 0 when the gateway only closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE):
            writer.write(raw)
            said = await reader.read()
    except ConnectionError:
        said = b""
    finally:
        writer.transport.abort()
    return (int(said[9:12]) if said else 0), said.decode("utf-8", "replace")


REFUSED = {
    "a name that DNS points here": (403, request("GET", "/api/v1/status", "host: evil.example")),
    "such a name with our port": (403, request("GET", "/api/v1/status", "host: evil.example:8081")),
    "a name that begins like ours": (403, request("GET", "/api/v1/status", "host: localhost.evil.example")),
    "no host": (403, request("GET", "/api/v1/status")),
    "metrics for a name": (403, request("GET", "/metrics", "host: evil.example")),
    "a web page": (403, request("GET", "/api/v1/status", LOCAL, "origin: https://evil.example")),
    "a web page of nowhere": (403, request("POST", REDRIVE, LOCAL, JSON, "origin: null", body=b"{}")),
    "a web page that probes": (403, request("GET", "/livez", LOCAL, "origin: https://evil.example")),
    "a form": (415, request("POST", REDRIVE, LOCAL, "content-type: application/x-www-form-urlencoded", body=b"a=b")),
    "a form with files": (415, request("POST", REDRIVE, LOCAL, "content-type: multipart/form-data; boundary=x", body=b"{}")),
    "plain text": (415, request("POST", REDRIVE, LOCAL, "content-type: text/plain", body=b"{}")),
    "no media type": (415, request("POST", REDRIVE, LOCAL, body=b"{}")),
    "no JSON": (400, request("POST", REDRIVE, LOCAL, JSON, body=b"{")),
    "deep JSON": (400, request("POST", REDRIVE, LOCAL, JSON, body=b"[" * 60_000)),
    "a number of many digits": (400, request("POST", REDRIVE, LOCAL, JSON, body=b'{"limit":%b}' % (b"9" * 5_000))),
    "JSON that is no text": (400, request("POST", REDRIVE, LOCAL, JSON, body=b'{"trigger":"\xff"}')),
    "a list": (400, request("POST", REDRIVE, LOCAL, JSON, body=b"[]")),
    "too much": (413, request("POST", REDRIVE, LOCAL, JSON, body=b" " * 1_100_000)),
    "a limit of many digits": (400, request("GET", "/api/v1/dead-letters?limit=" + "9" * 5_000, LOCAL)),
    "a limit in other digits": (400, request("GET", "/api/v1/dead-letters?limit=%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3", LOCAL)),
    "a head without end": (400, request("GET", "/livez", LOCAL, "x: " + "y" * 33_000)),
    "a way out of the names": (404, request("GET", "/api/v1/dead-letters/../../etc/passwd/1", LOCAL)),
    "a way out in other letters": (404, request("GET", "/api/v1/dead-letters/..%2f..%2fetc/passwd/1", LOCAL)),
    "SQL in a name": (404, request("GET", "/api/v1/dead-letters?broker='%3B--", LOCAL)),
    "NUL in a name": (404, request("GET", "/api/v1/dead-letters?broker=default/b%00", LOCAL)),
    "a long name": (404, request("GET", f"/api/v1/dead-letters?broker={'x' * 5_000}", LOCAL)),
    "letters that only look alike": (404, request("GET", "/api/v1/dead-letters?broker=default/%D0%B1", LOCAL)),
    "another method": (405, request("DELETE", REDRIVE, LOCAL, JSON)),
    "another protocol": (400, b"\x16\x03\x01\x02\x00\x01"),
}  # fmt: skip

BITS = (
    "", "..", "%2e%2e", "%00", "%2f", "default", "b", "default/b", "status", "redrive", "1", "-1", "9" * 30, "9" * 5_000, "'", '"', "%ff", "%",
    "?", "limit=", "broker=default/b", "after=", "&", "x" * 3_000, "%F0%9F%8E%89", "\u00e9", ";", "*", "id=1&source=/s",
)  # fmt: skip
LINES = (
    LOCAL, "host: localhost", "host: evil", "host:", "host: [::1]", "host: [", "host: 127.0.0.1:99999999", JSON, "content-type: ;",
    "content-type: application/json; charset=utf-9", "origin: x", "authorization: Bearer \u00e9", "transfer-encoding: gzip",
    "accept-encoding: gzip", "upgrade: websocket", "connection: upgrade", "range: bytes=0-", "x: " + "y" * 9_000,
)  # fmt: skip
BODIES = (
    b"",
    b"{}",
    b"{",
    b"[" * 9_000,
    b'{"limit":1e999}',
    b'{"limit":NaN}',
    b'{"trigger":"\\ud800"}',
    b"\xff",
    b'{"dry_run":0}',
)


def odd(chance: random.Random) -> bytes:
    target = "/" + "/".join(chance.choice(BITS) for _ in range(chance.randint(0, 4)))
    if chance.random() < 0.7:
        start = chance.choice(
            ("/api/v1/dead-letters", "/api/v1", "/api/v1/dead-letters/default/b", "/metrics", "/readyz")
        )
        target = start + chance.choice(("", "/", "?")) + "".join(chance.choice(BITS) for _ in range(3))
    lines = [LOCAL, *(chance.choice(LINES) for _ in range(chance.randint(0, 3)))]
    method = chance.choice(("GET", "GET", "POST", "POST", "HEAD", "PUT", "OPTIONS", "TRACE"))
    return request(method, target, *lines, body=chance.choice(BODIES))


async def test_pages_strangers_and_fools_get_a_clear_answer_and_change_nothing(tmp_path: Path) -> None:
    async with Subscriber() as subscriber:
        gateway = GatewayProcess(DOCUMENTS.format(url=subscriber.url), tmp_path)
        async with running(gateway):
            for name, (status, raw) in REFUSED.items():
                answer = await told(gateway.admin, raw)
                assert answer[0] == status, (name, answer)
                assert len(answer[1]) < 2_000, name
            before = memory(gateway.pid)
            chance = random.Random(1)
            for _ in range(400):
                raw = odd(chance)
                status, said = await told(gateway.admin, raw)
                assert status < 500, (raw[:300], said[:300])
            assert memory(gateway.pid) - before < 32 * 2**20
            assert (await told(gateway.admin, request("GET", "/api/v1/status", LOCAL)))[0] == 200
            assert (await told(gateway.admin, request("POST", REDRIVE, LOCAL, JSON, body=b"{}")))[0] == 200
        said = gateway.log.read_text()
        assert "Traceback" not in said
        assert "redriven" not in said


async def test_with_a_token_every_answer_but_a_probes_asks_for_it(tmp_path: Path) -> None:
    documents = DOCUMENTS.format(url="http://127.0.0.1:9") + (
        "---\napiVersion: mesh-gateway.dev/v1alpha1\nkind: Gateway\nmetadata: {name: g}\n"
        "spec: {admin: {token: {valueFrom: {env: ADMIN}}}}\n"
    )
    token = "authorization: Bearer s3cret-token"
    gateway = GatewayProcess(documents, tmp_path, {"ADMIN": "s3cret-token"})
    async with running(gateway):
        for target in (
            "/metrics",
            "/version",
            "/api/v1/status",
            "/api/v1/watch",
            "/nowhere",
            "//livez",
            "/livez/../metrics",
        ):
            for wrong in (
                "x: y",
                "authorization: s3cret-token",
                "authorization: bearer s3cret-token",
                token + "x",
                token[:-1],
            ):
                status, said = await told(gateway.admin, request("GET", target, LOCAL, wrong))
                assert (status, "www-authenticate: Bearer" in said) == (401, True), (target, wrong)
                assert "s3cret-token" not in said
        for target in ("/livez", "/readyz", "/startupz"):
            assert (await told(gateway.admin, request("GET", target, "host: probe.example")))[0] == 200
        assert (await told(gateway.admin, request("GET", "/api/v1/status", "host: admin.example", token)))[
            0
        ] == 200
        assert (
            await told(gateway.admin, request("POST", REDRIVE, "host: admin.example", token, body=b"{}"))
        )[0] == 415
    assert "s3cret-token" not in gateway.log.read_text()
