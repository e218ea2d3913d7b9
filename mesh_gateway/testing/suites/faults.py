"""Servers that restart, connections that break in every way, and doors that stay shut."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from mesh_gateway.errors import ConnectionLost, TransportError
from mesh_gateway.testing.harness import DENIALS, Kit, ids, series, untried
from mesh_gateway.testing.outage import FAULTS, Promises, read_on
from mesh_gateway.transport.contract import EARLIEST, SHARED, Check, Ensure, Level, Transport

REFUSAL_SECONDS = 5.0
"""Within how long `open` and `check` must say that there is no way in (the contract's figure)."""

NOISE_SECONDS = 3.0
"""Allowed on top of it, for a machine that is busy with other tests and the servers themselves."""


class Faults:
    """Tests of what the world does to a transport."""

    # ── the connection breaks ────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("fault", FAULTS)
    async def test_what_publish_returned_for_is_there_after(self, kit: Kit, fault: str) -> None:
        proxy, transport = await kit.proxied()
        channel = await kit.channel(transport)
        promises = Promises(kit, transport, channel)
        await promises.publish(series(5, "before"))

        FAULTS[fault](proxy)
        async with asyncio.TaskGroup() as tasks:
            for n in range(3):
                tasks.create_task(promises.publish(series(5, f"during{n}-")))
        proxy.resume()
        await kit.reopened(transport)
        await promises.publish(series(5, "after"))

        assert {f"after{n}" for n in range(5)} <= promises.stored, "it does not publish again"
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        promises.kept(await kit.nothing_but(transport, channel, subscription))

    async def test_a_publish_whose_answer_was_lost_with_the_connection_is_not_called_failed(
        self, kit: Kit
    ) -> None:
        proxy, transport = await kit.proxied()
        channel = await kit.channel(transport)
        promises = Promises(kit, transport, channel)
        await promises.publish(series(5, "before"))

        proxy.lose_answers()
        publishing = asyncio.ensure_future(promises.publish(series(5, "during")))
        answer = asyncio.ensure_future(proxy.answer_lost.wait())
        await asyncio.wait([publishing, answer], return_when=asyncio.FIRST_COMPLETED)
        proxy.cut()
        proxy.resume()
        await asyncio.wait([publishing])
        answer.cancel()
        publishing.result()
        await kit.reopened(transport)

        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        promises.kept(await kit.nothing_but(transport, channel, subscription))

    @pytest.mark.parametrize("fault", FAULTS)
    async def test_what_was_not_settled_comes_again_after(self, kit: Kit, fault: str) -> None:
        proxy, transport = await kit.proxied()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(9))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        found = await kit.receive(subscription, 9)
        unsettled = set(ids(found[6:]))
        await subscription.settle(found[:3])

        FAULTS[fault](proxy)
        with suppress(TransportError, TimeoutError):
            async with asyncio.timeout(kit.harness.patience):
                await subscription.settle(found[3:6])
        proxy.resume()
        await kit.reopened(transport)

        subscription, again = await read_on(kit, transport, channel, unsettled)
        assert set(ids(again)) <= set(ids(found))
        await subscription.settle(again)
        await subscription.close()
        transport, subscription = await kit.read_anew(channel)
        assert not unsettled & set(await kit.nothing_but(transport, channel, subscription))

    @pytest.mark.parametrize("fault", ["cut", "half-open"])
    async def test_a_reader_is_told_of_or_survives(self, kit: Kit, fault: str) -> None:
        """Half-open: a consumer that waits in silence for ever is the worst, for nobody sees it."""
        proxy, transport = await kit.proxied()
        channel = await kit.channel(transport)
        promises = Promises(kit, await kit.transport(), channel)
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        await promises.publish(series(2, "before"))
        await subscription.settle(await kit.receive(subscription, 2))

        FAULTS[fault](proxy)
        await promises.publish(series(2, "after"))

        await read_on(kit, transport, channel, {"after0", "after1"}, subscription)

    async def test_closing_over_a_half_open_connection_ends(self, kit: Kit) -> None:
        proxy, transport = await kit.proxied()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(2))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        await subscription.settle(await kit.receive(subscription, 2))

        proxy.stall()

        async with asyncio.timeout(kit.harness.recovery):
            with suppress(TransportError):
                await transport.close()

    # ── the server restarts ──────────────────────────────────────────────────────────────────

    async def test_a_restart_in_the_midst_of_publishing_loses_nothing_acknowledged(self, kit: Kit) -> None:
        restart = kit.restarting()
        transport = await kit.transport()
        channel = await kit.channel(transport)
        promises = Promises(kit, transport, channel)
        enough = asyncio.Event()
        await promises.publish(series(5, "before"))

        async with asyncio.TaskGroup() as tasks:
            publishing = tasks.create_task(promises.publish_on("during", enough))
            try:
                await restart()
            finally:
                enough.set()
            await publishing
        await kit.reopened(transport)
        await promises.publish(series(5, "after"))

        assert {f"after{n}" for n in range(5)} <= promises.stored, "it does not publish again"
        subscription, found = await read_on(kit, transport, channel, promises.stored)
        await subscription.settle(found)
        promises.kept([*ids(found), *await kit.nothing_but(transport, channel, subscription)])

    async def test_a_restart_in_the_midst_of_reading_brings_back_what_was_not_settled(self, kit: Kit) -> None:
        restart = kit.restarting()
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(20))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        found = await kit.receive(subscription, 10)
        await subscription.settle(found[:5])
        unsettled = {event.id for event in series(20)} - set(ids(found[:5]))

        await restart()
        subscription, again = await read_on(kit, transport, channel, unsettled, subscription)

        assert unsettled <= set(ids(again))
        await subscription.settle(again)
        await subscription.close()
        transport, subscription = await kit.read_anew(channel)
        assert not unsettled & set(await kit.nothing_but(transport, channel, subscription))

    async def test_a_server_that_is_down_is_said_to_be_and_served_when_it_is_back(self, kit: Kit) -> None:
        stop, start = kit.harness.stop_server, kit.harness.start_server
        if stop is None or start is None:
            untried("stop_server", "start_server")
        kit.expect_breakage()
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.close()

        await stop()
        try:
            await assert_out_of_reach(kit, transport)
        finally:
            await start()

        await kit.reopened(transport)
        await transport.publish(channel, series(1))
        await read_on(kit, transport, channel, {"e0"})

    # ── there is no way in ───────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("answer", ["refuses", "does not answer"])
    async def test_out_of_reach_is_a_server_that(self, kit: Kit, answer: str) -> None:
        proxy = await kit.proxy()
        assert kit.harness.through is not None
        transport = kit.harness.through(proxy)

        (proxy.refuse if answer == "refuses" else proxy.stall)()

        await assert_out_of_reach(kit, transport)
        proxy.resume()
        await kit.reopened(transport)
        await transport.close()

    @pytest.mark.parametrize("denial", DENIALS)
    async def test_denied_is_named_soon_and_without_secrets(self, kit: Kit, denial: str) -> None:
        if denial not in kit.harness.denied:
            untried(f"denied[{denial!r}]")
        kit.expect_breakage()
        transport = kit.harness.denied[denial]()
        said: list[str] = [repr(transport)]

        try:
            async with asyncio.timeout(REFUSAL_SECONDS + NOISE_SECONDS):
                error = await refusal(kit, transport, everything=denial == "missing permission")
            assert isinstance(error, DENIALS[denial]), f"{DENIALS[denial].__name__} was due, not {error!r}"
            said.append(str(error))
            async with asyncio.timeout(REFUSAL_SECONDS + NOISE_SECONDS):
                findings = await transport.check()
        finally:
            await transport.close()

        said += [f"{finding.detail} {finding.hint}" for finding in findings]
        if denial == "missing permission":
            assert not [one for one in findings if one.level is Level.PERMISSION and one.ok], "it says it may"
        else:
            assert wrong(findings), "its check finds nothing wrong"
        assert not [secret for secret in kit.harness.secrets for text in said if secret in text]


async def assert_out_of_reach(kit: Kit, transport: Transport) -> None:
    """`open` says so, and `check` finds it, before and after."""
    async with asyncio.timeout(REFUSAL_SECONDS + NOISE_SECONDS):
        assert wrong(await transport.check()), "its check finds nothing wrong"
    try:
        async with asyncio.timeout(REFUSAL_SECONDS + NOISE_SECONDS):
            error = await refusal(kit, transport, everything=False)
    finally:
        with suppress(TransportError):
            await transport.close()
    assert isinstance(error, ConnectionLost), f"ConnectionLost was due, not {error!r}"


async def refusal(kit: Kit, transport: Transport, *, everything: bool) -> TransportError | None:
    """What `open` raises; with `everything`, what the first use does that is refused."""
    spec = kit.spec()
    try:
        await transport.open()
        if everything:
            await transport.ensure(spec, Ensure.CREATE)
            await transport.publish(spec.name, series(1))
            await transport.subscribe(spec.name, SHARED, EARLIEST)
    except TransportError as error:
        return error
    return None


def wrong(findings: list[Check]) -> list[Check]:
    """What is not as it should be."""
    return [finding for finding in findings if not finding.ok]
