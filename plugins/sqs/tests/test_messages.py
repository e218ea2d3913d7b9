"""Event ↔ SQS message, names, and signatures."""

from __future__ import annotations

import json

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st
from mesh_gateway_sqs.messages import decode, deduplication_id, encode, group_id
from mesh_gateway_sqs.names import Names
from mesh_gateway_sqs.signing import Credentials, Signer

from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event

texts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=40)


def attributes(message):
    return {name: {"StringValue": value} for name, value in message.attributes.items()}


@given(texts, st.none() | st.binary(max_size=100), st.booleans())
def test_an_event_comes_back_as_it_went_and_its_body_holds_only_what_sqs_takes(id, data, flag):
    event = Event.new(type="t", source="/s", id=id, data=data, flag=flag)

    message = encode(event)

    assert decode(message.body, attributes(message)) == event
    assert all(
        c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000"
        for c in message.body
    )
    assert len(message.attributes) <= 10


@pytest.mark.parametrize("text", ["\x00", "\x1f", "\x0b", "\x7f", "\ufffe", "\uffff", "\ufffd", "\U0001fffe"])
@pytest.mark.parametrize("type", ["application/json", "text/plain", "application/octet-stream", None])
def test_a_character_that_sqs_refuses_stands_in_no_body_whatever_the_data_are_said_to_be(text, type):
    attributes = {} if type is None else {"datacontenttype": type}
    for data in (text.encode(), f'"{text}"'.encode()):
        event = Event.new(type="t", source="/s", id="1", data=data, **attributes)

        message = encode(event)

        assert not set(message.body) & {"\x00", "\x0b", "\x1f", "\ufffe", "\uffff"}
        found = decode(message.body, {}).data
        assert found == data or json.loads(found) == json.loads(data)


def test_a_sns_notification_is_unwrapped():
    inner = encode(Event.new(type="t", source="/s", id="7")).body

    assert decode(json.dumps({"Type": "Notification", "TopicArn": "arn", "Message": inner}), {}).id == "7"


@pytest.mark.parametrize(
    "body",
    [
        "junk",
        "{}",
        '{"Type": "x", "TopicArn": "y", "Message": "junk"}',
        "[1]",
        "[" * 50_000,
        '{"a":' * 50_000,
    ],
)
def test_what_is_no_event_is_refused(body):
    with pytest.raises(InvalidEvent):
        decode(body, {})


def test_a_fifo_group_is_the_key_or_its_hash_and_the_deduplication_id_is_of_source_and_id():
    def event(**more):
        return Event.new(**({"type": "t", "source": "/s", "id": "1"} | more))

    assert group_id(event(partitionkey="k")) == "k"
    assert group_id(event(subject="s")) == "s"
    assert len(group_id(event(partitionkey="ä" * 200))) == 64
    assert deduplication_id(event(source="/a", id="b1")) != deduplication_id(event(source="/ab", id="1"))


def test_names_fit_and_never_collide():
    names = Names("mesh-gateway", fifo=False)

    assert names.queue("shop/orders") == "mesh-gateway_shop_orders"
    assert names.queue("shop/orders:parked:billing.v2") == "mesh-gateway_shop_orders_parked_billing__v2"
    long = [names.queue("n/" + "b" * 90 + end) for end in "xy"]
    assert len(set(long)) == 2
    assert {len(name) for name in long} == {80}
    assert Names("m", fifo=True).queue("n/b") == "m_n_b.fifo"


def test_a_signature_is_the_one_that_botocore_makes():
    body = b'{"QueueUrl": "q"}'
    signer = Signer("sqs.eu-central-1.amazonaws.com", "eu-central-1")

    ours = signer.headers("AmazonSQS.SendMessage", body, Credentials("AKID", "secret", "token"))
    request = AWSRequest(
        "POST",
        "https://sqs.eu-central-1.amazonaws.com/",
        data=body,
        headers={name: ours[name] for name in ("content-type", "x-amz-target")},
    )
    request.context["timestamp"] = ours["x-amz-date"]
    auth = SigV4Auth(BotoCredentials("AKID", "secret", "token"), "sqs", "eu-central-1")
    request.headers["X-Amz-Date"] = ours["x-amz-date"]
    request.headers["X-Amz-Security-Token"] = "token"
    request.headers["host"] = "sqs.eu-central-1.amazonaws.com"
    canonical = auth.canonical_request(request)

    assert (
        auth.signature(auth.string_to_sign(request, canonical), request)
        == ours["authorization"].rpartition("=")[2]
    )
