"""SQS passes the kit, on a real server."""

from __future__ import annotations

import os
import uuid
from urllib.parse import urlsplit

import pytest
from mesh_gateway_sqs.options import SqsOptions
from mesh_gateway_sqs.transport import SqsTransport

from mesh_gateway.testing import Harness, TransportConformance
from mesh_gateway.transport.contract import TransportContext

ENDPOINT = os.environ.get("MESH_TEST_SQS", "")
REQUIRED = os.environ.get("MESH_REQUIRE_SERVICES") == "1"

pytestmark = pytest.mark.skipif(
    not ENDPOINT and not REQUIRED, reason="no SQS: run scripts/services up sqs and eval its env"
)


class TestSqsTransport(TransportConformance):
    async def harness(self) -> Harness:
        own = f"kit-{uuid.uuid4().hex[:8]}"

        def make(endpoint: str = ENDPOINT) -> SqsTransport:
            options = SqsOptions(
                endpoint=endpoint, region="us-east-1", prefix=own, waitTime=1, visibilityTimeout=5
            )
            return SqsTransport(options, TransportContext("sqs", None))

        where = urlsplit(ENDPOINT)
        return Harness(
            make=make,
            patience=20,
            address=(where.hostname or "", where.port or 0),
            through=lambda proxy: make("http://{}:{}".format(*proxy.address)),
            options_model=SqsOptions,
            denied={"unknown host": lambda: make("http://nowhere.invalid:9324")},
        )
