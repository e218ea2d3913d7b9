"""From trigger specs to running triggers, and what a trigger that runs already adopts of a changed one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from mesh_gateway.delivery.gate import Gate
from mesh_gateway.delivery.policy import RetryPolicy
from mesh_gateway.delivery.replaced import Replaced
from mesh_gateway.delivery.sink import Sink
from mesh_gateway.delivery.trigger import Trigger
from mesh_gateway.delivery.waiting import hold_limits
from mesh_gateway.delivery.window import Window
from mesh_gateway.gateway.parts import (
    Assembled,
    Parts,
    Sending,
    Surroundings,
    channel_options,
    make_filter,
    make_sink,
    policy,
)
from mesh_gateway.gateway.staying import Staying
from mesh_gateway.topology.spec import TriggerSpec
from mesh_gateway.transport.contract import ChannelSpec, Purpose


def add_trigger(spec: TriggerSpec, made: Assembled, stays: Staying, around: Surroundings) -> None:
    """The trigger that stays, with what differs to be adopted, or a new one."""
    parts = made.parts
    kept = stays.trigger(spec)
    if kept is None:
        trigger = make_trigger(spec, parts, stays, around)
    else:
        trigger, before = kept
        parts.channel(parts.brokers[spec.broker].link, trigger.parking.channel.spec, trigger.parking.channel)
        adopt(trigger, before, spec, made, stays, around)
    parts.triggers[spec.key] = trigger
    parts.brokers[spec.broker].triggers.append(trigger)
    parts.filters[spec.key] = stays.filter(spec) or make_filter(
        spec.filters, spec.filter_attributes, around.plugins
    )


def make_trigger(spec: TriggerSpec, parts: Parts, stays: Staying, around: Surroundings) -> Trigger:
    """A new trigger. One that was changed beyond adopting goes on with the counters and the parked channel of the old."""
    home = parts.brokers[spec.broker]
    described = ChannelSpec(
        home.spec.namespace,
        home.spec.name,
        Purpose.PARKED,
        trigger=spec.name,
        options=channel_options(home.spec),
    )
    capabilities = home.link.transport.capabilities
    sinks = Sinks(spec, parts, around)
    return Trigger(
        key=spec.key,
        broker=spec.broker,
        cluster=parts.spec.cluster,
        sink=sinks.subscriber(),
        dead_letter_sink=sinks.dead_letters(),
        policy=policy(spec.delivery),
        window=window(spec),
        parked=parts.channel(home.link, described, stays.channel(home, described)),
        dead_letters=home.dead_letters,
        accept=home.broker.accept_reply,
        gate=stays.gate(home, spec) or (Gate() if spec.read == "dedicated" else home.gate),
        clock=around.clock,
        watches=around.watches,
        hold_limits=hold_limits(capabilities.settle, capabilities.lease),
        counters=stays.counters(spec),
    )


def adopt(
    trigger: Trigger,
    before: TriggerSpec,
    spec: TriggerSpec,
    made: Assembled,
    stays: Staying,
    around: Surroundings,
) -> None:
    """Have a trigger that stays adopt what differs. Makes the sinks now, so that what cannot be made is refused."""
    sinks = Sinks(spec, made.parts, around)
    alike = sent_alike(before, spec)
    if not (
        alike and before.replies == spec.replies and stays.same_way(before.destination, spec.destination)
    ):
        made.in_place.append(partial(_to, trigger, sinks.subscriber()))
    letters = spec.delivery.dead_letter_sink
    if not (alike and stays.same_way(before.delivery.dead_letter_sink, letters)):
        made.in_place.append(partial(_letters_to, trigger, sinks.dead_letters()))
    # After the sinks: the old one has no connections for a greater parallelism.
    if (policy(before.delivery), window(before)) != (policy(spec.delivery), window(spec)):
        made.in_place.append(partial(_adopted, trigger, policy(spec.delivery), window(spec)))


def _adopted(trigger: Trigger, policy: RetryPolicy, window: Window) -> Sequence[Replaced]:
    trigger.adopt(policy, window)
    return ()


def _to(trigger: Trigger, sink: Sink) -> Sequence[Replaced]:
    old = trigger.replace_sink(sink)
    return () if old is None else (old,)


def _letters_to(trigger: Trigger, sink: Sink | None) -> Sequence[Replaced]:
    old = trigger.replace_dead_letter_sink(sink)
    return () if old is None else (old,)


def sent_alike(before: TriggerSpec, now: TriggerSpec) -> bool:
    """Whether attempts are made in the same way, wherever they go."""
    return (before.delivery.timeout, before.delivery.format, before.parallelism) == (
        now.delivery.timeout,
        now.delivery.format,
        now.parallelism,
    )


def window(spec: TriggerSpec) -> Window:
    """The data path's record of how much is held at a time."""
    return Window(
        events=spec.window_events,
        bytes=spec.window_bytes,
        parallelism=spec.parallelism,
        ordered=spec.order == "ordered",
        overflow=spec.overflow,
    )


class Sinks:
    """Makes what a trigger delivers with. Raises `TopologyError`, `PluginError`."""

    def __init__(self, spec: TriggerSpec, parts: Parts, around: Surroundings) -> None:
        self._spec = spec
        self._parts = parts
        self._around = around
        self._sending = Sending(
            f"trigger {spec.key}", spec.namespace, spec.delivery, spec.replies, spec.parallelism
        )

    def subscriber(self) -> Sink:
        """Where events go."""
        return make_sink(self._spec.destination, self._sending, self._parts, self._around)

    def dead_letters(self) -> Sink | None:
        """Where dead letters go; None when that is the broker's own channel."""
        letters = self._spec.delivery.dead_letter_sink
        if letters is None:
            return None
        return make_sink(letters, replace(self._sending, replies=False), self._parts, self._around)
