"""`lint --connect`: what the transports themselves say, before anything runs and without making anything."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from dataclasses import replace

from mesh_gateway.cli.output import clean, colour, notice
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.errors import MeshError, TransportError
from mesh_gateway.gateway.assembly import assemble, make_link, used_transports
from mesh_gateway.gateway.link import Link
from mesh_gateway.gateway.parts import Surroundings
from mesh_gateway.topology.spec import BrokerDestination, GatewaySpec, TriggerSpec
from mesh_gateway.transport.contract import ChannelSpec, Check, Ensure, Level
from mesh_gateway.transport.plugins import Plugins

CONNECT_TIMEOUT = 20.0
"""Seconds for all checks of one transport: client libraries try a dead address for about ten."""


def reachable(spec: GatewaySpec, plugins: Plugins) -> bool:
    """Print the findings of every used transport to standard error; whether all are good."""
    findings = asyncio.run(found(spec, plugins))
    for name, check in findings:
        mark = colour("✓", "green") if check.ok else colour("✗", "red")
        hint = f" ({clean(check.hint)})" if check.hint and not check.ok else ""
        notice(f"{mark} {name} {check.level}: {clean(check.name)}: {clean(check.detail)}{hint}")
    return all(check.ok for _, check in findings)


async def found(spec: GatewaySpec, plugins: Plugins) -> list[tuple[str, Check]]:
    """What each used transport finds, by name."""
    around = Surroundings(
        plugins=plugins,
        clock=asyncio.get_running_loop(),
        watches=Watches(),
        ingress_url=lambda broker: f"http://127.0.0.1/{broker}",
        on_unreadable=lambda channel, why: None,
        on_fatal=lambda why: None,
    )
    findings: list[tuple[str, Check]] = []
    for transport in used_transports(spec):
        try:
            make_link(transport, spec, around)
        except MeshError as error:
            findings.append((transport.name, Check("plugin", Level.CONNECT, ok=False, detail=str(error))))
    try:
        links = assemble(without({name for name, _ in findings}, spec), around).links
    except MeshError as error:
        return [*findings, ("plugins", Check("plugin", Level.CONNECT, ok=False, detail=str(error)))]
    for name, link in sorted(links.items()):
        findings += [(name, check) for check in await checks(link)]
    return findings


def without(transports: Collection[str], spec: GatewaySpec) -> GatewaySpec:
    """The gateway without what lies on these transports, or leads there: the others can be asked all the same."""
    brokers = {key: broker for key, broker in spec.brokers.items() if broker.transport not in transports}

    def stays(trigger: TriggerSpec) -> bool:
        targets = [trigger.destination, trigger.delivery.dead_letter_sink]
        led_to = [target.broker for target in targets if isinstance(target, BrokerDestination)]
        return brokers.keys() >= {trigger.broker, *led_to}

    triggers = {key: trigger for key, trigger in spec.triggers.items() if stays(trigger)}
    return replace(spec, brokers=brokers, triggers=triggers)


async def checks(link: Link) -> list[Check]:
    """What one transport finds. It is opened only where it may create nothing (`ensure: verify`), to look whether
    all is there.
    """
    transport = link.transport
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            said = await transport.check()
            if link.ensure is Ensure.VERIFY and all(check.ok for check in said):
                said += await looked_for(link)
                # Now it knows its channels, and can say what it may do with them.
                again = [check for check in await transport.check() if check.level is Level.PERMISSION]
                said += [check for check in again if check not in said]
    except TimeoutError:
        said = [Check("answer", Level.CONNECT, ok=False, detail=f"none within {CONNECT_TIMEOUT:.0f} s")]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await transport.close()
    return said


async def looked_for(link: Link) -> list[Check]:
    """One finding for each channel: that it is there, or what is wrong with it."""
    try:
        await link.transport.open()
    except TransportError as error:
        return [Check("open", Level.PERMISSION, ok=False, detail=str(error))]
    return [await one(link, channel.spec) for channel in link.channels]


async def one(link: Link, spec: ChannelSpec) -> Check:
    """Whether this channel is as its document says."""
    try:
        drifts = await link.transport.ensure(spec, Ensure.VERIFY)
    except TransportError as error:
        return Check(spec.name, Level.TOPOLOGY, ok=False, detail=str(error))
    if drifts:
        told = "; ".join(f"{drift.what} is {drift.found}, not {drift.wanted}" for drift in drifts)
        return Check(spec.name, Level.TOPOLOGY, ok=False, detail=told, hint=drifts[0].hint)
    return Check(spec.name, Level.TOPOLOGY, ok=True, detail="is there")
