"""The Secret that a ConfigMap of Knative's Kafka Broker names says how to connect."""

from __future__ import annotations

import pytest
from mesh_gateway_kafka import knative
from mesh_gateway_kafka.connection import connection_of_secret

from mesh_gateway.errors import NotPermitted

SERVERS = ("kafka:9092",)
SCRAM = {
    "protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "SCRAM-SHA-512",
    "user": "mesh",
    "password": "hidden-word",
}


def test_user_password_mechanism_and_protocol_are_taken_from_the_secret():
    found = connection_of_secret("us", SERVERS, SCRAM)
    assert (found.protocol, found.mechanism) == ("SASL_PLAINTEXT", "SCRAM-SHA-512")
    assert (found.username, found.password) == ("mesh", "hidden-word")
    assert found.context is None


def test_a_protocol_with_tls_has_a_context_that_checks_names():
    found = connection_of_secret("us", SERVERS, {**SCRAM, "protocol": "SASL_SSL"})
    assert found.context is not None
    assert found.context.check_hostname


def test_without_sasl_no_user_is_needed():
    found = connection_of_secret("us", SERVERS, {"protocol": "SSL"})
    assert (found.protocol, found.username, found.password) == ("SSL", None, None)


@pytest.mark.parametrize("key", ["protocol", "sasl.mechanism", "user", "password"])
def test_a_key_that_is_absent_is_named(key: str):
    with pytest.raises(NotPermitted, match=f"has no {key}"):
        connection_of_secret("us", SERVERS, {name: text for name, text in SCRAM.items() if name != key})


@pytest.mark.parametrize(("key", "text"), [("protocol", "TLS"), ("sasl.mechanism", "GSSAPI")])
def test_a_word_that_kafka_does_not_know_is_named_with_those_it_does(key: str, text: str):
    with pytest.raises(NotPermitted, match=f"{key} must be one of .*, not '{text}'"):
        connection_of_secret("us", SERVERS, {**SCRAM, key: text})


@pytest.mark.parametrize("key", ["ca.crt", "user.crt"])
@pytest.mark.parametrize("text", ["no certificate", "kein gültiges"])
def test_a_certificate_that_is_none_is_a_sentence_and_shows_nothing_of_it(key: str, text: str):
    secret = {**SCRAM, "protocol": "SASL_SSL", "user.key": "no key", key: text}
    with pytest.raises(NotPermitted, match="by the Secret's certificates") as caught:
        connection_of_secret("us", SERVERS, secret)
    assert "hidden-word" not in str(caught.value)


def test_values_of_the_secret_come_as_options_and_are_never_shown():
    options = (("bootstrap.servers", "kafka:9092"), *((f"secret.{key}", text) for key, text in SCRAM.items()))
    given = knative.read(options)
    assert dict(given.secret) == SCRAM
    assert "hidden-word" not in repr(given)
