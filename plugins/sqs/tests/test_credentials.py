"""Credentials are renewed while they are used, and nobody waits for that."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mesh_gateway_sqs import client
from mesh_gateway_sqs.transport import SqsTransport

from mesh_gateway.testing.harness import series
from mesh_gateway.transport.contract import ChannelSpec, Ensure
from plugins.sqs.tests.conftest import GOOD
from plugins.sqs.tests.fake_sqs import FakeSqs

pytestmark = pytest.mark.anyio

PATIENCE = 20.0
SPEC = ChannelSpec("n", "b")


class Source:
    """botocore's session, whose credentials come from somewhere that does not answer for now."""

    def __init__(self) -> None:
        self.asked, self.answers = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def get_credentials(self) -> Source:
        return self

    def get_frozen_credentials(self) -> Any:
        self.asked.set()
        self.answers.wait()
        if self.error is not None:
            raise self.error
        return SimpleNamespace(access_key="AKNEW", secret_key=GOOD, token=None)


@pytest.mark.parametrize("error", [None, RuntimeError("the token service is away")])
async def test_while_the_source_of_credentials_does_not_answer_those_from_before_are_used(
    fake: FakeSqs, make: Callable[..., SqsTransport], monkeypatch: pytest.MonkeyPatch, error: Exception | None
):
    transport, source = make(), Source()
    await transport.open()
    await transport.ensure(SPEC, Ensure.CREATE)
    sqs = transport._sqs
    assert sqs is not None
    sqs._session = cast("Any", source)
    monkeypatch.setattr(client, "KEEP_SECONDS", -1.0)
    try:
        async with asyncio.timeout(PATIENCE):
            for _ in range(3):
                await transport.publish(SPEC.name, series(1))
            assert sqs._renewing is not None
            assert not sqs._renewing.done()
    finally:
        source.error = error
        source.answers.set()
    await sqs._renewing

    assert source.asked.is_set()
    assert sqs._found is not None
    assert sqs._found.access_key == ("AKNEW" if error is None else "AKID")
