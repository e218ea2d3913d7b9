"""What an error of aiokafka means for the gateway."""

from __future__ import annotations

from aiokafka import errors

from mesh_gateway.errors import ChannelGone, ConnectionLost, NotPermitted, Throttled, TransportError

DENIED = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.TransactionalIdAuthorizationFailed,
)
REFUSED = (
    errors.AuthenticationFailedError,
    errors.AuthenticationMethodNotSupported,
    errors.SaslAuthenticationFailed,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
)
GONE = (errors.UnknownTopicOrPartitionError, errors.InvalidTopicError)


class Unsent(errors.KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """The producer was closed before anything of a batch can have been stored."""


CERTAIN = (
    *DENIED,
    *REFUSED,
    Unsent,
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.InvalidTopicError,
    errors.NotEnoughReplicasError,
    errors.InvalidRequiredAcksError,
    errors.PolicyViolationError,
    errors.UnsupportedForMessageFormatError,
    errors.CorruptRecordException,
)
"""A produce request that ends with one of these has certainly stored nothing."""

FATAL = (
    errors.OutOfOrderSequenceNumber,
    errors.UnknownProducerId,
    errors.InvalidProducerEpoch,
    errors.InvalidProducerIdMapping,
    errors.ProducerFenced,
)
"""A producer that has met one of these never succeeds again (aiokafka #1017): it is replaced."""

ACTIONS = {
    errors.TopicAuthorizationFailedError: "topic",
    errors.GroupAuthorizationFailedError: "group",
    errors.ClusterAuthorizationFailedError: "cluster",
    errors.TransactionalIdAuthorizationFailed: "transactional id",
}


def meant(error: BaseException, doing: str) -> TransportError:
    """The gateway's error for one of aiokafka's, met while `doing` something ("publish to topic t")."""
    if isinstance(error, DENIED):
        what = next(word for kind, word in ACTIONS.items() if isinstance(error, kind))
        return NotPermitted(f"Kafka does not allow us to {doing}: the {what} needs an ACL for this user")
    if isinstance(error, REFUSED):
        return NotPermitted(f"Kafka refused our credentials: {error}")
    if isinstance(error, GONE):
        return ChannelGone(f"cannot {doing}: the topic does not exist")
    if isinstance(error, errors.QuotaViolationError):
        return Throttled(f"Kafka asks us to slow down while we {doing}", retry_after=1)
    # aiokafka's own say what they are called by themselves.
    why = str(error) if isinstance(error, errors.KafkaError) else f"{type(error).__name__}: {error}"
    return ConnectionLost(f"cannot {doing}: {why}")


def by_code(code: int, doing: str, message: str = "") -> TransportError:
    """As `meant`, for an error that the admin client gives as a number."""
    kind = errors.for_code(code)
    return meant(kind(message or kind.description), doing)
