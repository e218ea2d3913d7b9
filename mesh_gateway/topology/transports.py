"""What Brokers lie on: Transport documents with their options checked, and which of them a Broker takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from mesh_gateway.errors import PluginError
from mesh_gateway.topology import documents, fields, parts
from mesh_gateway.topology.annotations import check
from mesh_gateway.topology.documents import OURS
from mesh_gateway.topology.faults import Path, meant
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.knative import CLASS, DEFAULT_CLASS
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.secrets import Missing, References, Unreadable
from mesh_gateway.topology.spec import BrokerSpec, Secret, TransportSpec
from mesh_gateway.transport.hooks import TransportKind

EMBEDDED = "embedded"
OPTIONS: Path = ("spec", "options")

FIRST_PARTY = ("kafka", "rabbitmq", "sqs")
"""Kinds that come as extras of this project."""


def transport_spec(resource: Resource, kinds: Kinds, references: References) -> TransportSpec | None:
    """The transport with its options validated; None when the document is too broken to say."""
    found = resource.spec
    if not isinstance(found, documents.Transport):
        return None
    if resource.name == EMBEDDED and found.kind != EMBEDDED:
        resource.fault(
            "MG013", ("metadata", "name"), "'embedded' is the built-in transport's name; choose another"
        )
    kind = kinds.transports.get(found.kind)
    reader = _Secrets(resource, references)
    options = reader.read(found.options, OPTIONS)
    if kind is None:
        resource.fault("MG024", ("spec", "kind"), absent(found.kind, kinds))
    else:
        options = _options(resource, kind, kinds, options, reader)
    return TransportSpec(resource.name, found.kind, found.ensure, options)


def absent(kind: str, kinds: Kinds) -> str:
    """Why there is no such kind, and what to do."""
    if kind in kinds.failed:
        return f"the plugin of transport kind {kind!r} cannot be used: {kinds.failed[kind]}"
    if kind in FIRST_PARTY:
        return f"the transport kind {kind!r} is not installed: pip install 'mesh-gateway[{kind}]'"
    return f"no plugin brings the transport kind {kind!r}" + (
        meant(kind, [*kinds.transports, *FIRST_PARTY])
        or f"; there are: {', '.join(sorted(kinds.transports))}"
    )


def _options(
    resource: Resource, kind: TransportKind, kinds: Kinds, given: dict[str, Any], reader: _Secrets
) -> dict[str, Any]:
    """Options as the kind's model has them, or as they were given when that model does not take its own values back."""
    try:
        model: type[BaseModel] = kinds.load(kind.options)
    except PluginError as error:
        hint = f"; {kind.install_hint}" if kind.install_hint else ""
        resource.fault("MG024", ("spec", "kind"), f"{error}{hint}")
        return given
    known = fields.names(model)
    strangers = [name for name in given if name not in known]
    for name in strangers:
        hint = meant(name, known) or f"; {kind.name} has: {', '.join(sorted(known))}"
        resource.fault("MG025", (*OPTIONS, name), f"unknown option{hint}", key=True)
    clean = {name: value for name, value in given.items() if name not in strangers}
    instance, findings = fields.validate(model, clean)
    for finding in findings:
        resource.fault("MG025", (*OPTIONS, *finding.path), reader.hidden(finding.message), key=finding.key)
    if instance is None or findings:
        return clean
    dumped = instance.model_dump(by_alias=True)
    try:
        model.model_validate(dumped)
    except ValidationError:
        return clean
    return dumped


class _Secrets:
    """Replaces `{valueFrom: …}` anywhere in options, and keeps the values out of messages."""

    def __init__(self, resource: Resource, references: References) -> None:
        self._resource = resource
        self._references = references
        self._read: list[str] = []

    def read(self, value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            if set(value) == {"valueFrom"}:
                return self._secret(value["valueFrom"], (*path, "valueFrom"))
            return {key: self.read(part, (*path, key)) for key, part in value.items()}
        if isinstance(value, list):
            return [self.read(part, (*path, i)) for i, part in enumerate(value)]
        return value

    def _secret(self, value: Any, path: Path) -> str:
        source, findings = fields.validate(parts.ValueFrom, value)
        findings += fields.unknown(parts.ValueFrom, value)
        for finding in findings:
            self._resource.fault(finding.code, (*path, *finding.path), finding.message, key=finding.key)
        secret = None if source is None or findings else self._references.secret(source, self._resource, path)
        if secret is None:
            return UNREAD
        self._read.append(secret.value)
        return secret.value

    def hidden(self, message: str) -> str:
        for value in self._read:
            message = message.replace(value, "********")
        return message


UNREAD = "unread"
"""Stands for a secret that could not be read; the fault is noted, nothing runs with it."""


Options = tuple[tuple[str, str], ...]
Secrets = tuple[tuple[str, Secret], ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """How Brokers find their transport."""

    transports: Mapping[str, TransportSpec | None]
    default: str
    classes: Mapping[str, str]
    configs: Mapping[tuple[str, str], Resource]
    """(kind, namespace/name) -> ConfigMap, Secret or RabbitmqBrokerConfig."""
    kinds: Kinds
    references: References

    def broker_spec(self, resource: Resource) -> BrokerSpec:
        """The Broker on its transport; what is wrong is noted, and then it lies on the default."""
        spec = self._placed(resource)
        kind = self._kind(spec.transport)
        check(resource, {} if kind is None else dict(kind.broker_annotations))
        return spec

    def _placed(self, resource: Resource) -> BrokerSpec:
        found = resource.spec if isinstance(resource.spec, documents.Broker) else documents.Broker()
        config = found.config
        if config is not None and config.kind == "Transport":
            named = self._named(config, resource)
            return BrokerSpec(resource.namespace, resource.name, named, self._annotated(resource, named))
        transport, chosen = self._by_class(resource)
        read = None if config is None else self._config(config, resource, transport, chosen=chosen)
        options, secrets = read or ((), ())
        options += self._annotated(resource, transport)
        return BrokerSpec(resource.namespace, resource.name, transport, options, secrets)

    def _annotated(self, resource: Resource, transport: str) -> Options:
        """Annotations of the Broker that its transport's plugin reads as options of the channel."""
        kind = self._kind(transport)
        pairs = () if kind is None else kind.broker_annotations
        return tuple(
            (option, resource.annotations[name].strip())
            for name, option in pairs
            if name in resource.annotations
        )

    def _named(self, config: parts.Reference, resource: Resource) -> str:
        if config.api_version is not None and config.api_version != OURS:
            resource.fault("MG010", ("spec", "config", "apiVersion"), f"a Transport is of {OURS}")
        if config.name in self.transports:
            return config.name
        hint = meant(config.name, self.transports) or f"; there are: {', '.join(self.transports)}"
        resource.fault("MG023", ("spec", "config", "name"), f"there is no Transport {config.name!r}{hint}")
        return self.default

    def _by_class(self, resource: Resource) -> tuple[str, bool]:
        """(transport, whether the class's plugin is to read the config)."""
        given = resource.annotations.get(CLASS)
        if given is not None and given in self.classes:
            return self.classes[given], True
        if given in (None, DEFAULT_CLASS):
            return self.default, False
        message = f"class {given} has no entry in Gateway.spec.brokerClasses; it runs on {self.default}"
        resource.fault("MG203", ("metadata", "annotations", CLASS), message)
        kind = self._kind(self.default)
        return self.default, kind is not None and given in kind.broker_classes

    def _kind(self, transport: str) -> TransportKind | None:
        spec = self.transports.get(transport)
        return None if spec is None else self.kinds.transports.get(spec.kind)

    def _config(
        self, config: parts.Reference, resource: Resource, transport: str, *, chosen: bool
    ) -> tuple[Options, Secrets] | None:
        """What the transport's plugin makes of the config document of a Knative class, and the Secret it names."""
        kind = self._kind(transport)
        if self.transports.get(transport) is None:
            return None  # the Transport itself is faulty or absent, and that is noted already
        if not chosen and CLASS in resource.annotations:
            return None  # the class runs on the default transport, and that is noted already
        path: Path = ("spec", "config")
        if not chosen or kind is None or kind.broker_options is None:
            message = f"is not read: transport {transport} does not know configs of this broker's class"
            resource.fault("MG205", path, message, severity="notice", key=True)
            return None
        key = f"{config.namespace or resource.namespace}/{config.name}"
        document = self.configs.get((config.kind, key))
        if document is None:
            if transport != self.default:
                resource.fault("MG021", (*path, "name"), f"there is no {config.kind} {key} in the files")
            return None
        try:
            read: Callable[[Mapping[str, Any]], Mapping[str, str]] = self.kinds.load(kind.broker_options)
            options = dict(read(document.value))
        except (PluginError, ValueError, TypeError, LookupError, AttributeError) as error:
            # A plugin reads a document that nobody has validated; whatever it stumbles on is the document's.
            resource.fault("MG025", path, f"{config.kind} {key}: {error}")
            return None
        name = None if kind.broker_secret is None else options.get(kind.broker_secret)
        return tuple(sorted(options.items())), self._secret(name, document, kind.broker_secret or "")

    def _secret(self, name: str | None, config: Resource, key: str) -> Secrets:
        """Every value of the Secret that a config names, as option `secret.<key>`; it lies in the config's namespace."""
        if not name:
            return ()
        path: Path = ("data", key)
        try:
            found = self.references.whole(f"{config.home}/{name}")
        except Missing as error:
            config.fault("MG021", path, str(error))
            return ()
        except Unreadable as error:
            config.fault("MG026", path, str(error))
            return ()
        return tuple((f"secret.{one}", value) for one, value in sorted(found.items()))
