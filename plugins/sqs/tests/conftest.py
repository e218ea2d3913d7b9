"""The strict fake, and transports over it that live by the same clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from mesh_gateway_sqs.options import SqsOptions
from mesh_gateway_sqs.transport import SqsTransport

from mesh_gateway.transport.contract import TransportContext
from plugins.sqs.tests.fake_sqs import REGION, FakeSqs
from plugins.sqs.tests.hand_clock import HandClock

GOOD, WRONG = "V8vJmW2q", "k3Zx9LpT"
PROFILES = {
    "good": ("AKID", GOOD),
    "wrong": ("AKID", WRONG),
    "stranger": ("AKNONE", GOOD),
    "limited": ("AKLIMITED", GOOD),
}


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The event loop that the gateway runs on."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials in a shared file, a test chooses them by their profile."""
    lines = [
        f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        for name, (key, secret) in PROFILES.items()
    ]
    (tmp_path / "credentials").write_text("\n".join(lines))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def fake(profiles: None, clock: HandClock) -> AsyncIterator[FakeSqs]:
    async with FakeSqs(clock, {"AKID": GOOD, "AKLIMITED": GOOD}) as fake:
        fake.allowed["AKLIMITED"] = {"ListQueues"}
        yield fake


@pytest.fixture
def unreadable() -> list[tuple[str, str]]:
    """What transports reported as unreadable."""
    return []


@pytest.fixture
async def make(
    fake: FakeSqs, clock: HandClock, unreadable: list[tuple[str, str]]
) -> AsyncIterator[Callable[..., SqsTransport]]:
    """Makes transports; they are closed at the end."""
    made: list[SqsTransport] = []

    def transport(**options: Any) -> SqsTransport:
        given = {"endpoint": fake.endpoint, "region": REGION, "profile": "good", "prefix": "t", "waitTime": 1}
        context = TransportContext("sqs", None, on_unreadable=lambda *found: unreadable.append(found))
        made.append(SqsTransport(SqsOptions(**given | options), context, clock))
        return made[-1]

    yield transport
    for one in made:
        await one.close()
