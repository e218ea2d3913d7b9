"""From validated documents to the spec: references followed, defaults filled in, annotations read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import ValidationError

from mesh_gateway.errors import PluginError
from mesh_gateway.filters.dialects import Filter, FilterFaults, parse
from mesh_gateway.topology import destinations, gateway, lint, secrets
from mesh_gateway.topology.annotations import read as read_annotations
from mesh_gateway.topology.destinations import Addresses, Unresolvable
from mesh_gateway.topology.documents import (
    OURS,
    BrokerDoc,
    ConfigMapDoc,
    DeliveryDoc,
    DestinationDoc,
    EndpointDoc,
    GatewayDoc,
    Reference,
    SecretDoc,
    SecretValue,
    TransportDoc,
    TriggerDoc,
)
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.read import Read, Reporter
from mesh_gateway.topology.spec import (
    BrokerSpec,
    ClientCertificateSpec,
    DeliverySpec,
    Destination,
    GatewaySpec,
    HttpDestination,
    Secret,
    TransportSpec,
    TriggerSpec,
)
from mesh_gateway.topology.yaml import Path as FieldPath
from mesh_gateway.transport import durations
from mesh_gateway.transport.plugins import import_string

CLASS = "eventing.knative.dev/broker.class"
EMBEDDED = "embedded"

DEFAULT_DELIVERY = DeliveryDoc(retry=10, backoff_policy="exponential", backoff_delay="PT0.2S")
"""What Knative installs for Brokers without a delivery (config-br-defaults)."""

DEFAULT_DELAY = 0.2


class Resolver:
    """Resolves one set of documents. Reports what is wrong and goes on, so that all of it is found."""

    def __init__(
        self, read: list[Read], environment: Mapping[str, str], kinds: Kinds, reporter: Reporter
    ) -> None:
        self._environment = environment
        self._kinds = kinds
        self._reporter = reporter
        self._of: dict[type, list[Read]] = {}
        for one in read:
            self._of.setdefault(type(one.model), []).append(one)
        self._secrets = {(one.namespace, one.model.metadata.name): one.model for one in self._all(SecretDoc)}
        self._filters: dict[str, Filter] = {}
        self._reads: dict[str, Read] = {}

    def spec(self, digest: str) -> GatewaySpec:
        """The spec, usable only if nothing was reported as an error."""
        base = self._gateway()
        transports = self._transports()
        brokers = {one.key: self._broker(one, transports) for one in self._all(BrokerDoc)}
        for one in self._all(BrokerDoc):
            self._reads[f"Broker {one.key}"] = one
        addresses = self._addresses(brokers)
        triggers: dict[str, TriggerSpec] = {}
        for one in self._all(TriggerDoc):
            trigger = self._trigger(one, brokers, addresses)
            if trigger is not None:
                triggers[trigger.key] = trigger
                self._reads[f"Trigger {trigger.key}"] = one
        spec = replace(base, transports=transports, brokers=brokers, triggers=triggers, digest=digest)
        lint.check(spec, self._filters, self._reads, self._reporter)
        return spec

    def _all(self, model: type) -> list[Read]:
        return self._of.get(model, [])

    # ── Gateway, Transports, Endpoints ───────────────────────────────────────────────────────

    def _gateway(self) -> GatewaySpec:
        found = self._all(GatewayDoc)
        if not found:
            return GatewaySpec()
        one = found[0]
        assert isinstance(one.model, GatewayDoc)
        return gateway.spec(one, self._reporter, lambda value, path: self._secret(one, value, path))

    def _document(self) -> GatewayDoc | None:
        found = self._all(GatewayDoc)
        model = found[0].model if found else None
        return model if isinstance(model, GatewayDoc) else None

    def _transports(self) -> dict[str, TransportSpec]:
        transports = {EMBEDDED: TransportSpec(EMBEDDED, EMBEDDED)}
        for one in self._all(TransportDoc):
            assert isinstance(one.model, TransportDoc)
            name = one.model.metadata.name
            transports[name] = self._transport(one, one.model)
        return transports

    def _transport(self, one: Read, model: TransportDoc) -> TransportSpec:
        spec = model.spec
        options = dict(spec.options or {})
        kind = self._kinds.transports.get(spec.kind)
        if kind is None:
            failed = self._kinds.failed.get(spec.kind)
            known = ", ".join(sorted(self._kinds.transports))
            why = f"the plugin {spec.kind} failed: {failed}" if failed else f"there are: {known}"
            hint = f". Install it: pip install 'mesh-gateway[{spec.kind}]'" if not failed else ""
            self._report(one, "MG024", ("spec", "kind"), f"no transport of kind {spec.kind!r}; {why}{hint}")
        else:
            self._check_options(one, kind.options, options)
        return TransportSpec(model.metadata.name, spec.kind, spec.ensure, options)

    def _check_options(self, one: Read, model: str, options: dict[str, Any]) -> None:
        try:
            import_string(model).model_validate(options)
        except PluginError as error:
            self._report(one, "MG024", ("spec", "kind"), str(error))
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                path = ("spec", "options", *fault["loc"])
                self._report(one, "MG025", path, fault["msg"])

    def _addresses(self, brokers: Mapping[str, BrokerSpec]) -> Addresses:
        document = self._document()
        resolve = (document.spec.resolve if document else None) or "http://{name}"
        endpoints: dict[str, HttpDestination] = {}
        for one in self._all(EndpointDoc):
            endpoint = self._endpoint(one)
            if endpoint is not None:
                endpoints[one.key] = endpoint
        # A Broker or Endpoint that is in the files but wrong is reported once, not by everybody who refers to it.
        wrong = {one.key for one in self._all(EndpointDoc)} - endpoints.keys()
        endpoints |= {key: HttpDestination("http://invalid.invalid/") for key in wrong}
        return Addresses(brokers.keys(), endpoints, self._kinds.sinks, resolve)

    def _endpoint(self, one: Read) -> HttpDestination | None:
        assert isinstance(one.model, EndpointDoc)
        spec = one.model.spec
        try:
            destinations.check_url(spec.url, ())
        except Unresolvable as error:
            self._report(one, error.code, ("spec", "url"), str(error))
            return None
        bearer = certificate = None
        if spec.auth is not None:
            if spec.auth.bearer is not None:
                bearer = self._secret(one, spec.auth.bearer, ("spec", "auth", "bearer"))
            if spec.auth.client_certificate is not None:
                files = spec.auth.client_certificate
                certificate = ClientCertificateSpec(one.folder / files.certificate, one.folder / files.key)
        return HttpDestination(
            spec.url,
            ca_certificates=self._authorities(one, spec.ca_certs),
            client_certificate=certificate,
            bearer=bearer,
            insecure_skip_verify=spec.insecure_skip_verify,
            replies=spec.replies,
            headers=tuple((spec.headers or {}).items()),
        )

    def _authorities(self, one: Read, document: Any) -> str | None:
        if document is None:
            return None
        if document.inline is not None:
            return str(document.inline)
        path = ("spec", "caCerts")
        if document.file is None:
            self._report(one, "MG010", path, "needs file or inline")
            return None
        try:
            return secrets.read_file(one.folder / document.file)
        except secrets.Unreadable as error:
            self._report(one, "MG026", (*path, "file"), str(error))
            return None

    def _secret(self, one: Read, value: SecretValue, path: FieldPath) -> Secret | None:
        documents = {key: model for key, model in self._secrets.items() if isinstance(model, SecretDoc)}
        try:
            return secrets.resolve(
                value,
                environment=self._environment,
                folder=one.folder,
                namespace=one.namespace,
                documents=documents,
            )
        except secrets.Unreadable as error:
            self._report(one, "MG026", (*path, "valueFrom"), str(error))
            return None

    # ── Brokers ──────────────────────────────────────────────────────────────────────────────

    def _broker(self, one: Read, transports: Mapping[str, TransportSpec]) -> BrokerSpec:
        assert isinstance(one.model, BrokerDoc)
        name = one.model.metadata.name
        config = one.model.spec.config
        if config is not None and config.kind == "Transport" and (config.api_version or OURS) == OURS:
            transport = self._known(one, config.name, ("spec", "config", "name"), transports)
            return BrokerSpec(one.namespace, name, transport)
        transport, by_class = self._by_class(one, transports)
        options = self._broker_options(one, config, transports[transport].kind) if by_class and config else ()
        return BrokerSpec(one.namespace, name, transport, options)

    def _by_class(self, one: Read, transports: Mapping[str, TransportSpec]) -> tuple[str, bool]:
        """(transport, whether its class has an entry)."""
        document = self._document()
        classes = (document.spec.broker_classes if document else None) or {}
        default = (document.spec.default_transport if document else None) or EMBEDDED
        given = (one.model.metadata.annotations or {}).get(CLASS)
        if isinstance(given, str) and given in classes:
            found = self._known_to_gateway(classes[given], ("spec", "brokerClasses", given), transports)
            return found, True
        if isinstance(given, str) and given != "MTChannelBasedBroker":
            message = f"class {given} has no entry in Gateway.spec.brokerClasses; it runs on {default}"
            self._report(one, "MG203", ("metadata", "annotations", CLASS), message)
        return self._known_to_gateway(default, ("spec", "defaultTransport"), transports), False

    def _known(self, one: Read, name: str, path: FieldPath, transports: Mapping[str, TransportSpec]) -> str:
        if name in transports:
            return name
        self._report(
            one, "MG023", path, f"there is no Transport {name!r}; there are: {', '.join(transports)}"
        )
        return EMBEDDED

    def _known_to_gateway(self, name: str, path: FieldPath, transports: Mapping[str, TransportSpec]) -> str:
        if name in transports:
            return name
        one = self._all(GatewayDoc)[0]
        already = any(f.code == "MG023" and f.file == one.document.file for f in self._reporter.faults)
        return EMBEDDED if already else self._known(one, name, path, transports)

    def _broker_options(self, one: Read, config: Reference, kind: str) -> tuple[tuple[str, str], ...]:
        """What the class's plugin makes of the document its config refers to."""
        found = self._kinds.transports.get(kind)
        where = (config.namespace or one.namespace, config.name)
        documents = {(r.namespace, r.model.metadata.name): r.model for r in self._all(ConfigMapDoc)}
        document = documents.get(where)
        if not isinstance(document, ConfigMapDoc):
            message = f"there is no {config.kind} {'/'.join(where)} in the files"
            self._report(one, "MG021", ("spec", "config", "name"), message)
            return ()
        if found is None or found.broker_options is None:
            return ()
        try:
            options = import_string(found.broker_options)(document.data or {})
        except (PluginError, ValueError) as error:
            self._report(one, "MG025", ("spec", "config"), str(error))
            return ()
        return tuple(sorted(options.items()))

    # ── Triggers ─────────────────────────────────────────────────────────────────────────────

    def _trigger(
        self, one: Read, brokers: Mapping[str, BrokerSpec], addresses: Addresses
    ) -> TriggerSpec | None:
        assert isinstance(one.model, TriggerDoc)
        spec = one.model.spec
        broker = self._broker_of(one, spec.broker, spec.broker_ref, brokers)
        destination = self._destination(one, spec.subscriber, ("spec", "subscriber"), addresses)
        filters = tuple(spec.filters or ())
        attributes = tuple((spec.filter.attributes or {}).items()) if spec.filter else ()
        found = self._filter(one, filters, attributes)
        said = read_annotations(one, self._reporter)
        if broker is None or destination is None or found is None:
            return None
        delivery = self._delivery(one, spec.delivery, broker, addresses)
        trigger = TriggerSpec(
            namespace=one.namespace,
            name=one.model.metadata.name,
            broker=broker,
            destination=destination,
            delivery=delivery,
            filters=filters,
            filter_attributes=() if filters else attributes,
            **said,
        )
        self._filters[trigger.key] = found
        return trigger

    def _broker_of(
        self, one: Read, name: str | None, ref: Reference | None, brokers: Mapping[str, BrokerSpec]
    ) -> str | None:
        if (name is None) == (ref is None):
            self._report(one, "MG010", ("spec",), "needs exactly one of broker and brokerRef")
            return None
        path: FieldPath = ("spec", "broker") if ref is None else ("spec", "brokerRef", "name")
        key = f"{one.namespace}/{name}" if ref is None else f"{ref.namespace or one.namespace}/{ref.name}"
        if key in brokers:
            return key
        known = ", ".join(brokers) or "none"
        severity: Literal["warning", "error"] = "warning" if self._reporter.partial else "error"
        self._reporter.at(
            one.document,
            "MG020",
            path,
            f"there is no Broker {key} in the files; there are: {known}",
            severity,
        )
        return None

    def _destination(
        self, one: Read, document: DestinationDoc, path: FieldPath, addresses: Addresses
    ) -> Destination | None:
        try:
            return destinations.resolve(document, one.namespace, addresses)
        except Unresolvable as error:
            self._report(one, error.code, (*path, *error.field), str(error))
            return None

    def _filter(
        self, one: Read, filters: tuple[Any, ...], attributes: tuple[tuple[str, str], ...]
    ) -> Filter | None:
        if filters and attributes:
            self._report(one, "MG032", ("spec", "filter"), "spec.filters is given too, and only that counts")
        try:
            found = parse(filters, attributes, self._kinds.filters)
        except FilterFaults as error:
            for fault in error.faults:
                self._report(one, "MG031", ("spec", *fault.path), fault.message)
            return None
        for warning in found.warnings:
            self._report(one, "MG030", ("spec", *warning.path), warning.message)
        return found

    def _delivery(
        self, one: Read, own: DeliveryDoc | None, broker: str, addresses: Addresses
    ) -> DeliverySpec:
        """The Trigger's delivery, even an empty one, else its Broker's, else the Gateway's; never mixed."""
        document = self._document()
        home = next((r for r in self._all(BrokerDoc) if r.key == broker), one)
        assert isinstance(home.model, BrokerDoc | TriggerDoc)
        source, delivery = one, own
        if delivery is None and home.model.spec.delivery is not None:
            source, delivery = home, home.model.spec.delivery
        if delivery is None:
            delivery = (document.spec.delivery if document else None) or DEFAULT_DELIVERY
            source = self._all(GatewayDoc)[0] if document else one
        letters = None
        if delivery.dead_letter_sink is not None:
            path = ("spec", "delivery", "deadLetterSink")
            letters = self._destination(source, delivery.dead_letter_sink, path, addresses)
        return delivery_spec(delivery, letters)

    def _report(self, one: Read, code: str, path: FieldPath, message: str) -> None:
        self._reporter.at(one.document, code, path, message)


def delivery_spec(document: DeliveryDoc, letters: Destination | None) -> DeliverySpec:
    """A delivery with its defaults: no `retry` means one attempt; a policy without a delay waits PT0.2S."""

    def length(text: str | None, default: float) -> float:
        return default if text is None else durations.seconds(text)

    return DeliverySpec(
        retry=document.retry or 0,
        backoff_policy=document.backoff_policy or "exponential",
        backoff_delay=length(document.backoff_delay, DEFAULT_DELAY),
        backoff_max=length(document.backoff_max, 3600.0),
        retry_after_max=length(document.retry_after_max, 600.0),
        jitter=document.jitter is None,
        timeout=length(document.timeout, 30.0) or 30.0,
        format=document.format or "binary",
        dead_letter_sink=letters,
    )
