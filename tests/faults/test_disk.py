"""A disk that fails or is full, under a running gateway: no 202 that is not true, and no hand-work afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.every_end import EveryEnd, until
from tests.faults.figures import counts
from tests.faults.nursery import ForkedGateway, nursery
from tests.faults.scale import ALL
from tests.faults.strace import injected, skip_without_strace
from tests.harness import PATIENCE, Answer, GatewayProcess, Producer, Subscriber, running, send_batch
from tests.transports import REQUIRED

SOME = (1, 2, 5, 9, 13)
"""Syncs that are tried of a round's 25 or more; `make test-faults` (`MESH_FAULTS=all`) tries every one."""

TRIES = 3
"""Of one sync: what is committed together, and so how many syncs there are, differs from round to round."""

UNTRUSTED = 74

DISK = 64 * 2**20
"""Room for the reserve (16 MiB, made where twice as much is free) and a few thousand events."""


BESIDE = """
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: beside}
"""
"""Without triggers: to ask whether events are taken."""


@contextlib.asynccontextmanager
async def working(directory: Path) -> AsyncIterator[tuple[ForkedGateway, EveryEnd]]:
    """A gateway whose events meet every end, started."""
    ends = EveryEnd()
    async with ends.subscriber, nursery() as place:
        gateway = ForkedGateway(ends.documents() + BESIDE, directory, place)
        await gateway.start()
        try:
            yield gateway, ends
        finally:
            await gateway.kill()


async def sync_failed(gateway: ForkedGateway, ends: EveryEnd, n: int) -> bool:
    """Whether the n-th sync of a round of work came, and failed: then the process has ended. What was acknowledged is there
    after it has been started again.
    """
    await taken_again(gateway)  # SQLite syncs the directory with its first commit, and goes on if that fails
    async with injected(gateway.pid, "fdatasync", f"error=EIO:when={n}"):
        await ends.send(gateway)
        ended = await until(lambda: not gateway.runs, 1.2)
        if ended:
            assert await gateway.wait() == UNTRUSTED
    assert set(ends.answers) <= {202, 503}
    await gateway.kill()
    await gateway.start()
    await ends.complete(gateway, f"a failure of sync number {n}")
    return ended


@pytest.mark.slow
async def test_a_sync_that_fails_ends_the_process_and_nothing_acknowledged_is_lost(tmp_path: Path):
    skip_without_strace()
    async with working(tmp_path) as (gateway, ends):
        failed: list[int] = []
        for n in itertools.count(1) if ALL else SOME:
            for _ in range(TRIES):
                if await sync_failed(gateway, ends, n):
                    failed.append(n)
                    break
            if n > max(failed, default=0) + 2:
                break  # there are no more

    assert len(failed) >= (15 if ALL else len(SOME))
    counts(4, syncs_that_failed=len(failed), events=len(ends.acknowledged))


MOST_ANSWERS = 2_000
"""Several times as many as the first sixty writes take, however few events go together."""


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 3, 10, 30, 60])
async def test_a_disk_that_is_full_refuses_events_and_takes_them_again_when_it_has_room(
    tmp_path: Path, n: int
):
    """From the n-th write on there is no room, not even in the reserve's place; then there is."""
    skip_without_strace()
    async with working(tmp_path) as (gateway, ends):
        async with injected(gateway.pid, "pwrite64", f"error=ENOSPC:when={n}+"):
            await ends.send(gateway)
            while ends.answers[-1] == 202 and len(ends.answers) < MOST_ANSWERS:
                await ends.send(gateway)  # how many writes that takes is the group commit's to say
            assert set(ends.answers) <= {202, 503, 507}
            assert ends.answers[-1] in (503, 507)
            assert gateway.runs
        await taken_again(gateway)
        await ends.send(gateway)

        await ends.complete(gateway, f"no room from write number {n} on")
        assert gateway.runs


async def taken_again(gateway: GatewayProcess) -> None:
    """Returns when the ingress takes events: it looks for room whenever one comes."""
    async with asyncio.timeout(PATIENCE):
        while True:
            producer = Producer(gateway.ingress, "/default/beside")
            await producer.send(["x"])
            if producer.answers == [202]:
                return
            await asyncio.sleep(0.1)


WAITING = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
spec: {{delivery: {{retry: 1000, backoffPolicy: linear, backoffDelay: PT0.05S, backoffMax: PT0.2S}}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: t}}
spec: {{broker: b, subscriber: {{uri: "{url}/t"}}}}
"""


@pytest.mark.slow
async def test_on_a_full_disk_the_backlog_is_delivered_and_settled_and_no_event_is_taken_until_there_is_room(
    tmp_path: Path,
):
    up = False
    async with Subscriber(lambda request: Answer(202 if up else 503)) as subscriber:
        gateway = OnSmallDisk(WAITING.format(url=subscriber.url) + BESIDE, tmp_path)
        gateway.skip_if_it_cannot_be()
        async with running(gateway):
            producer = Producer(gateway.ingress, "/default/b")
            await producer.send(f"before-{n}" for n in range(500))
            gateway.fill()
            refused = await refusal(gateway)
            up = True
            status = await gateway.settled()
            settled_on_a_full_disk = await refusal(gateway)
            gateway.make_room()
            await taken_again(gateway)
            await producer.send(f"after-{n}" for n in range(20))
            await gateway.settled()

    assert refused == settled_on_a_full_disk == 503
    assert status["triggers"][0]["window"] == 0
    assert len(producer.acknowledged) == 520
    assert set(producer.acknowledged) <= set(subscriber.ids())


async def refusal(gateway: GatewayProcess) -> int:
    """The first status that is no 202: what there is of room is taken first."""
    async with asyncio.timeout(PATIENCE):
        while True:
            status = await send_batch(gateway, "/default/beside", [str(n) for n in range(1000)])
            if status != 202:
                return status


class OnSmallDisk(GatewayProcess):
    """A gateway whose state lies on a disk of its own, a small one, in a mount namespace of its own."""

    COMMAND = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--mount")

    def skip_if_it_cannot_be(self) -> None:
        """Skip aloud where no file system may be mounted; fail where everything is required."""
        self.state.mkdir()
        tried = subprocess.run([*self._mounted(), "true"], capture_output=True, text=True, check=False)
        if tried.returncode:
            said = f"no disk can be mounted here: {tried.stderr.strip()}"
            pytest.fail(said) if REQUIRED else pytest.skip(said)

    def _mounted(self) -> list[str]:
        script = f'mount -t tmpfs -o size={DISK} none "$0" && exec "$@"'
        return [*self.COMMAND, "sh", "-c", script, str(self.state)]

    async def _started(self, *words: str) -> asyncio.subprocess.Process:
        command = [*self._mounted(), sys.executable, "-m", "mesh_gateway", *words]
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)

    @property
    def _ballast(self) -> Path:
        return Path(f"/proc/{self.pid}/root{self.state}/ballast")

    def fill(self) -> None:
        """Leave no room on the disk."""
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(2**16))

    def make_room(self) -> None:
        self._ballast.unlink()
