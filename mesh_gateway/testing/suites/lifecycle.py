"""Opening, closing, making channels, and saying what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from mesh_gateway.errors import ChannelGone, TransportError
from mesh_gateway.testing.harness import Kit, ids, series
from mesh_gateway.transport.contract import EARLIEST, SHARED, Ensure


class Lifecycle:
    """Tests of a transport's life."""

    async def test_opening_and_closing_leaves_no_task_and_no_thread(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await kit.close()
        tasks, threads = len(asyncio.all_tasks()), threading.active_count()

        for _ in range(20):
            transport = kit.harness.make()
            await transport.open()
            subscription = await transport.subscribe(channel, SHARED, EARLIEST)
            await transport.publish(channel, series(1))
            await subscription.settle(await kit.receive(subscription, 1))
            await subscription.close()
            await transport.close()

        assert len(asyncio.all_tasks()) <= tasks
        assert threading.active_count() <= threads

    async def test_closing_twice_is_harmless(self, kit: Kit) -> None:
        transport = await kit.transport()
        subscription = await transport.subscribe(await kit.channel(transport), SHARED, EARLIEST)

        await subscription.close()
        await subscription.close()
        await transport.close()
        await transport.close()

    async def test_a_closed_transport_opens_again(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(1))
        await transport.close()

        await transport.open()

        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        assert ids(await kit.receive(subscription, 1)) == ["e0"]

    @pytest.mark.parametrize("what", ["subscription", "transport"])
    async def test_closing_ends_a_receive_that_waits(self, kit: Kit, what: str) -> None:
        transport = await kit.transport()
        subscription = await transport.subscribe(await kit.channel(transport), SHARED, EARLIEST)
        waiting = asyncio.ensure_future(subscription.receive(1))
        await asyncio.sleep(0)

        await (subscription if what == "subscription" else transport).close()

        async with asyncio.timeout(kit.harness.patience):
            with contextlib.suppress(TransportError):  # saying that it is closed is as good as ending empty
                assert len(await waiting) == 0

    async def test_a_closed_transport_refuses_to_publish(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.close()

        with pytest.raises(TransportError):
            await transport.publish(channel, series(1))

    # ── channels ─────────────────────────────────────────────────────────────────────────────

    async def test_making_a_channel_is_idempotent_and_keeps_what_is_in_it(self, kit: Kit) -> None:
        transport = await kit.transport()
        spec = kit.spec()
        assert await transport.ensure(spec, Ensure.CREATE) == []
        await transport.publish(spec.name, series(2))

        assert await transport.ensure(spec, Ensure.CREATE) == []

        subscription = await transport.subscribe(spec.name, SHARED, EARLIEST)
        assert sorted(ids(await kit.receive(subscription, 2))) == ["e0", "e1"]

    async def test_verifying_finds_a_channel_as_it_was_made(self, kit: Kit) -> None:
        transport = await kit.transport()
        spec = kit.spec()
        await transport.ensure(spec, Ensure.CREATE)

        assert await transport.ensure(spec, Ensure.VERIFY) == []
        assert await transport.ensure(spec, Ensure.VERIFY) == []

    async def test_verifying_an_absent_channel_says_so_and_makes_nothing(self, kit: Kit) -> None:
        transport = await kit.transport()
        spec = kit.spec()

        for _ in range(2):
            with pytest.raises(ChannelGone):
                await transport.ensure(spec, Ensure.VERIFY)

    async def test_off_makes_nothing(self, kit: Kit) -> None:
        transport = await kit.transport()
        spec = kit.spec()

        assert await transport.ensure(spec, Ensure.OFF) == []
        assert await transport.ensure(spec, Ensure.OFF) == []

        with pytest.raises(ChannelGone):
            await transport.ensure(spec, Ensure.VERIFY)

    async def test_a_group_made_with_its_channel_begins_at_the_start(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(2))

        _, subscription = await kit.read_anew(channel)

        assert sorted(ids(await kit.receive(subscription, 2))) == ["e0", "e1"]

    async def test_a_healthy_transport_checks_itself_as_healthy(self, kit: Kit) -> None:
        transport = await kit.transport()

        findings = await transport.check()

        assert findings, "nothing was checked"
        assert [finding for finding in findings if not finding.ok] == []

    async def test_checking_a_closed_transport_raises_nothing(self, kit: Kit) -> None:
        await kit.harness.make().check()
