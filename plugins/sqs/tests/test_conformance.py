"""SQS passes the kit, on a real server."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from urllib.parse import urlsplit

import boto3
import pytest
from mesh_gateway_sqs.options import SqsOptions
from mesh_gateway_sqs.transport import SqsTransport

from mesh_gateway.testing import Harness, TransportConformance
from mesh_gateway.transport.contract import ChannelSpec, TransportContext

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

        def redrive_elsewhere(spec: ChannelSpec) -> None:
            """What an operator may do who means well: SQS takes messages away after three receives."""
            client = boto3.client("sqs", endpoint_url=ENDPOINT, region_name="us-east-1")
            elsewhere = client.create_queue(QueueName=f"{own}-elsewhere")["QueueUrl"]
            found = client.get_queue_attributes(QueueUrl=elsewhere, AttributeNames=["QueueArn"])
            policy = {"deadLetterTargetArn": found["Attributes"]["QueueArn"], "maxReceiveCount": 3}
            [queue] = client.list_queues(QueueNamePrefix=f"{own}_{spec.namespace}_{spec.broker}")["QueueUrls"]
            client.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": json.dumps(policy)})

        async def drift(spec: ChannelSpec) -> None:
            await asyncio.to_thread(redrive_elsewhere, spec)

        where = urlsplit(ENDPOINT)
        return Harness(
            make=make,
            patience=20,
            address=(where.hostname or "", where.port or 0),
            through=lambda proxy: make("http://{}:{}".format(*proxy.address)),
            options_model=SqsOptions,
            drift=drift,
            denied={"unknown host": lambda: make("http://nowhere.invalid:9324")},
        )
