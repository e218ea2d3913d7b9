"""Opening, closing, making channels, and saying what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from mesh_gateway.errors import ChannelGone, TransportError
from mesh_gateway.testing.harness import Kit, ids, numbered, series, untried
from mesh_gateway.transport.contract import EARLIEST, SHARED, Ensure

BLOCKING_SECONDS = 0.05
"""A callback that takes longer delays every event of the gateway: five times the p99 that it promises."""


class Lifecycle:
    """Tests of a transport's life."""

    async def test_opening_and_closing_leaves_nothing_behind(self, kit: Kit) -> None:
        channel = await kit.channel(await kit.transport())
        await kit.close()
        await one_life(kit, channel, "first")  # whatever is made once and kept for good, is made now
        before = belongings()

        for n in range(20):
            await one_life(kit, channel, f"life{n}-")

        async def nothing_left() -> bool:
            return all(count <= before[what] for what, count in belongings().items())

        # What was told to end may take a moment for it; what leaks stays.
        assert await kit.eventually(nothing_left), (
            f"there was {before}, there is {belongings()}: {asyncio.all_tasks()}, {threading.enumerate()}"
        )

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

    async def test_with_ensure_off_a_channel_that_is_there_is_written_and_read_by_its_name(
        self, kit: Kit
    ) -> None:
        spec = kit.spec()
        await (await kit.transport()).ensure(spec, Ensure.CREATE)
        await kit.close()
        transport = await kit.transport()

        assert await transport.ensure(spec, Ensure.OFF) == []
        await transport.publish(spec.name, series(2))

        subscription = await transport.subscribe(spec.name, SHARED, EARLIEST)
        assert sorted(ids(await kit.receive(subscription, 2))) == ["e0", "e1"]

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

    async def test_drift_is_reported_and_not_raised(self, kit: Kit) -> None:
        drift = kit.harness.drift
        if drift is None:
            untried("drift")
        transport = await kit.transport()
        spec = kit.spec()
        await transport.ensure(spec, Ensure.CREATE)
        assert await transport.ensure(spec, Ensure.VERIFY) == []

        await drift(spec)

        for mode in (Ensure.VERIFY, Ensure.CREATE):
            found = await transport.ensure(spec, mode)
            assert found, f"nothing is reported by {mode}"
            assert all(one.channel == spec.name and one.what and one.wanted != one.found for one in found)
            assert await transport.ensure(spec, Ensure.OFF) == []

    # ── conduct ──────────────────────────────────────────────────────────────────────────────

    async def test_no_secret_is_shown(self, kit: Kit) -> None:
        transport = await kit.transport()

        shown = [repr(transport), str(transport), repr(await transport.check())]

        assert not [secret for secret in kit.harness.secrets for text in shown if secret in text]

    async def test_no_event_is_shown_in_the_log(self, kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        private = numbered("e0", data=b'"patient 4711"', note="patient-4712")

        with caplog.at_level(logging.INFO):
            await transport.publish(channel, [private])
            subscription = await transport.subscribe(channel, SHARED, EARLIEST)
            found = await kit.receive(subscription, 1)
            await subscription.release(found)
            await subscription.settle(await kit.receive(subscription, 1))
            await kit.close()

        said = [f"{record.name}: {record.getMessage()}" for record in caplog.records]
        assert [line for line in said if "patient" in line] == []

    async def test_every_option_is_described(self, kit: Kit) -> None:
        model = kit.harness.options_model
        if model is None:
            untried("options_model")

        assert undescribed(model) == []
        assert model.model_config.get("extra") == "forbid", "a misspelt option must be told, not ignored"

    async def test_nothing_blocks_the_event_loop(self, kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
        """Judged by nobody: what took long is noted in the report, for a busy machine takes long too."""
        loop = asyncio.get_running_loop()
        transport = await kit.transport()
        channel = await kit.channel(transport)
        loop.slow_callback_duration = BLOCKING_SECONDS
        loop.set_debug(enabled=True)
        await asyncio.sleep(0)  # what runs already is not measured
        try:
            with caplog.at_level(logging.WARNING, "asyncio"):
                await transport.publish(channel, series(50))
                subscription = await transport.subscribe(channel, SHARED, EARLIEST)
                await kit.taken(subscription, 50)
                await transport.check()
                await kit.close()
        finally:
            loop.set_debug(enabled=False)

        slow = [record.getMessage() for record in caplog.records if "took" in record.getMessage()]
        kit.notes.extend(f"blocked the event loop: {message}" for message in slow)


async def one_life(kit: Kit, channel: str, prefix: str) -> None:
    """A transport that is opened, used and closed."""
    transport = kit.harness.make()
    await transport.open()
    subscription = await transport.subscribe(channel, SHARED, EARLIEST)
    await transport.publish(channel, series(1, prefix))
    await subscription.settle(await kit.receive(subscription, 1))
    await subscription.close()
    await transport.close()


def belongings() -> dict[str, int]:
    """What a transport may leave behind, counted.

    Threads of asyncio's own executor do not count: it keeps them on purpose, and bounds them.
    """
    open_files = Path("/dev/fd")
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": sum(not thread.name.startswith("asyncio_") for thread in threading.enumerate()),
        "files and sockets": len(list(open_files.iterdir())) if open_files.is_dir() else 0,
    }


def undescribed(model: type[BaseModel], at: str = "") -> list[str]:
    """The fields without a description, also those of the models inside."""
    found: list[str] = []
    for name, field in model.model_fields.items():
        if not field.description:
            found.append(f"{at}{name}")
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                found += undescribed(inner, f"{at}{name}.")
    return found
