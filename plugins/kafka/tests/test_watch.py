"""Whether the cluster is still there: noticed in whatever words aiokafka tells that it is not."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiokafka import errors
from mesh_gateway_kafka import watch as module
from mesh_gateway_kafka.watch import Watch

from mesh_gateway.errors import ConnectionLost

pytestmark = pytest.mark.anyio

PATIENCE = 30.0

CLOSED = RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")


class Admin:
    """aiokafka's admin client: fails as it is told to, and then as it did last."""

    def __init__(self, *failures: Exception | None) -> None:
        self.failures = list(failures)

    async def describe_topics(self, topics: list[str]) -> None:
        assert topics == [], "a look at the cluster costs the same however many topics it has"
        failure = self.failures.pop(0) if len(self.failures) > 1 else self.failures[0]
        if failure is not None:
            raise failure


@pytest.mark.parametrize("failure", [errors.KafkaConnectionError("gone"), ConnectionResetError(), CLOSED])
async def test_a_cluster_that_does_not_answer_twice_is_lost(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
):
    monkeypatch.setattr(module, "EVERY", 0.0)
    watch = Watch(cast("Any", Admin(failure, None, failure)))
    async with asyncio.timeout(PATIENCE):
        await watch.run()

    assert watch.lost
    with pytest.raises(ConnectionLost, match=type(failure).__name__):
        watch.check()
