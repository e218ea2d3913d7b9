"""Objects that stand at many places of documents: secrets, certificates, Knative's duck types.

As in `documents.py`, every field is described there where it stands, for the reference page and the JSON Schema.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from mesh_gateway.topology.values import PositiveSeconds, Seconds, Whole, wrong


class Model(BaseModel):
    """Frozen; unknown fields are found by `fields.py` before this is asked."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, serialize_by_alias=True)


def _one_of(model: Model, *names: str) -> None:
    given = [to_camel(name) for name in names if getattr(model, name) is not None]
    known = ", ".join(to_camel(name) for name in names)
    if not given:
        raise wrong(f"needs one of {known}")
    if len(given) > 1:
        raise wrong(f"{' and '.join(given)} exclude each other; take one")


# Secrets and certificates


class SecretKeyRef(Model):
    """A key of a Secret document."""

    name: str = Field(description="Name of the Secret.")
    key: str = Field(description="Key in its `data` or `stringData`.")
    namespace: str | None = Field(default=None, description="Its namespace; default: that of this document.")


class ValueFrom(Model):
    """Where a secret value is; exactly one."""

    env: str | None = Field(default=None, description="Name of an environment variable.")
    file: str | None = Field(
        default=None,
        description="A file, relative to this document; one line break at its end does not count.",
    )
    secret_key_ref: SecretKeyRef | None = Field(default=None, description="A key of a Secret document.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _one_of(self, "env", "file", "secret_key_ref")
        return self


def _by_reference(value: Any) -> Any:
    if isinstance(value, str):
        raise wrong("a secret comes by reference: {valueFrom: {env: NAME}} or {valueFrom: {file: PATH}}")
    return value


class SecretSource(Model):
    """A value that is never printed, given by reference."""

    value_from: ValueFrom = Field(description="Where the value is.")


SecretValue = Annotated[SecretSource, BeforeValidator(_by_reference)]


class Certificates(Model):
    """Certificates to trust instead of the system's; exactly one."""

    file: str | None = Field(default=None, description="A PEM file, relative to this document.")
    inline: str | None = Field(default=None, description="PEM text.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _one_of(self, "file", "inline")
        return self


class KeyPair(Model):
    """A certificate and its private key, as PEM files."""

    certificate: str = Field(
        description="PEM file with the certificate and its chain, relative to this document."
    )
    key: str = Field(description="PEM file with the private key, relative to this document.")


class Auth(Model):
    """Credentials that are presented to a destination."""

    bearer: SecretValue | None = Field(default=None, description="Token for `Authorization: Bearer`.")
    client_certificate: KeyPair | None = Field(default=None, description="Client certificate for TLS.")


# Duck types of Knative


class Reference(Model):
    """A reference to an object (Knative's KReference)."""

    kind: str = Field(
        description="`Service`, `Broker` or `Endpoint`; for `config` also `Transport`, `ConfigMap`."
    )
    name: str = Field(description="Its name.")
    namespace: str | None = Field(default=None, description="Its namespace; default: that of this document.")
    api_version: str | None = Field(default=None, description="Its group and version, such as `v1`.")
    group: str | None = Field(default=None, description="Knative's alpha alternative to `apiVersion`.")
    address: str | None = Field(
        default=None, description="Knative: which of several addresses. Has no effect here."
    )


class Destination(Model):
    """Where events go: `ref`, or an absolute `uri`, or both with a relative `uri` (RFC 3986, against the ref's URL)."""

    ref: Reference | None = Field(
        default=None, description="Something with an address: a Service, a Broker, an Endpoint."
    )
    uri: str | None = Field(default=None, description="A URL; relative only together with `ref`.")
    ca_certs: str | None = Field(
        default=None,
        alias="CACerts",
        description="PEM text of the certificates to trust for this destination.",
    )
    audience: str | None = Field(default=None, description="Knative: OIDC audience. Has no effect here.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ref is None and self.uri is None:
            raise wrong("needs a ref or a uri")
        return self


class Delivery(Model):
    """Retries and dead letters. The object of a Trigger replaces the Broker's as a whole, also when it is `{}`."""

    dead_letter_sink: Destination | None = Field(
        default=None,
        description="Where events go that could not be delivered; default: the Broker's dead-letter channel.",
    )
    retry: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = Field(
        default=None, description="Attempts after the first one; default 0."
    )
    backoff_policy: Literal["linear", "exponential"] | None = Field(
        default=None,
        description="Wait before retry n: `backoffDelay * n`, or `backoffDelay * 2^n`; default `exponential`.",
    )
    backoff_delay: Seconds | None = Field(default=None, description="ISO 8601 duration; default PT0.2S.")
    timeout: PositiveSeconds | None = Field(
        default=None, description="Whole deadline of one attempt, response included; default PT30S."
    )
    retry_after_max: Seconds | None = Field(
        default=None,
        description="Longest `Retry-After` that is honoured; PT0S = ignore the header; default PT10M.",
    )
    format: Literal["binary", "json"] | None = Field(
        default=None, description="CloudEvents mode of delivery: `binary` (default) or `json` (structured)."
    )
    backoff_max: Seconds | None = Field(
        default=None, description="Longest wait between attempts; default PT1H."
    )
    jitter: Literal["none"] | None = Field(
        default=None, description="`none` = waits are exact; default: each is spread over ±10 %."
    )
