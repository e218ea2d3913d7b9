"""Questions beside the consumers: whatever the cluster does meanwhile is an error of the contract."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
from aiokafka import TopicPartition, errors
from mesh_gateway_kafka import offsets
from mesh_gateway_kafka.connection import Connection
from mesh_gateway_kafka.offsets import Offsets

from mesh_gateway.errors import ConnectionLost

LINK = Connection(("127.0.0.1:1",), "test", "PLAINTEXT")


@pytest.mark.parametrize("error", [errors.KafkaConnectionError("gone"), errors.OffsetOutOfRangeError({})])
async def test_a_cluster_that_goes_away_while_it_is_asked_for_an_age_is_a_lost_connection(monkeypatch, error):
    async def records(*about: object) -> AsyncGenerator[Any, None]:
        raise error
        yield

    monkeypatch.setattr(offsets, "records", records)
    asked = Offsets(LINK, cast("Any", None))

    with pytest.raises(ConnectionLost):
        await asked.moment(TopicPartition("topic", 0), 1, 2)
