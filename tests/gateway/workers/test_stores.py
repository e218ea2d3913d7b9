"""Whose stores are left over, and whether anything is in them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mesh_gateway.errors import NotPermitted, StoreDamaged
from mesh_gateway.event import Event
from mesh_gateway.gateway.workers import stores
from mesh_gateway.transport.contract import ChannelSpec, Ensure, Purpose, Start, TransportContext
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.space import Hold
from mesh_gateway.transport.embedded.transport import EmbeddedTransport

EVENTS = ChannelSpec("ns", "b")
LETTERS = ChannelSpec("ns", "b", Purpose.DEAD_LETTERS, groups=("operators",))


async def store(state: Path, *, channel: ChannelSpec = EVENTS, events: int, settled: int) -> None:
    """A store that was closed in order, with so many events of which the first so many are settled."""
    transport = EmbeddedTransport(EmbeddedOptions(), TransportContext("embedded", state))
    await transport.open()
    await transport.ensure(channel, Ensure.CREATE)
    if events:
        sent = [
            Event({"id": str(n), "source": "/s", "type": "t", "specversion": "1.0"}) for n in range(events)
        ]
        await transport.publish(channel.name, sent)
    subscription = await transport.subscribe(channel.name, channel.groups[0], Start("earliest"))
    if settled:
        await subscription.settle(list(await subscription.receive(events))[:settled])
    await subscription.close()
    await transport.close()


async def test_a_store_with_unsettled_events_is_left_over(tmp_path: Path):
    await store(stores.directory(tmp_path, 1), events=3, settled=3)
    await store(stores.directory(tmp_path, 2), events=3, settled=2)
    await store(stores.directory(tmp_path, 3), events=0, settled=0)

    assert stores.left_over(tmp_path, 1) == [2]


async def test_a_store_of_a_worker_that_is_still_one_is_not_left_over(tmp_path: Path):
    await store(stores.directory(tmp_path, 1), events=1, settled=0)

    assert stores.left_over(tmp_path, 2) == []


async def test_a_dead_letter_counts_as_something_left(tmp_path: Path):
    await store(stores.directory(tmp_path, 1), channel=LETTERS, events=1, settled=0)

    assert stores.left_over(tmp_path, 1) == [1]


async def test_the_store_of_a_transport_of_another_name_counts(tmp_path: Path):
    await store(stores.directory(tmp_path, 1) / "second", events=1, settled=0)

    assert stores.left_over(tmp_path, 1) == [1]


async def test_what_cannot_be_looked_into_counts_as_left(tmp_path: Path):
    damaged, foreign, used = (stores.directory(tmp_path, number) for number in (1, 2, 3))
    damaged.mkdir(parents=True)
    (damaged / "mesh.db").write_bytes(b"no database" * 1_000)
    (foreign / "theirs").mkdir(parents=True)
    (foreign / "theirs" / "queue.bin").touch()
    await store(used, events=0, settled=0)
    hold = Hold(used)

    try:
        assert stores.left_over(tmp_path, 1) == [1, 2, 3]
    finally:
        hold.release()


async def test_what_waits_in_a_channel_is_found_in_whichever_store_it_is(tmp_path: Path):
    await store(tmp_path, events=3, settled=3)
    await store(stores.directory(tmp_path, 2), events=3, settled=2)

    assert stores.waiting(tmp_path, "embedded", ["ns/b"])
    assert not stores.waiting(tmp_path, "embedded", ["ns/other"])
    assert not stores.waiting(tmp_path, "second", ["ns/b"])


async def test_what_waits_on_a_transport_of_another_name_is_found(tmp_path: Path):
    await store(stores.directory(tmp_path, 1) / "second", events=1, settled=0)

    assert stores.waiting(tmp_path, "second", ["ns/b"])
    assert not stores.waiting(tmp_path, "embedded", ["ns/b"])


def test_the_number_of_workers_is_known_at_the_next_start(tmp_path: Path):
    assert stores.number_before(tmp_path) == 1
    stores.note_number(tmp_path, 1)
    assert not (tmp_path / stores.FOLDER).exists(), "nobody who runs one process finds a trace of workers"

    with stores.held(tmp_path):
        stores.note_number(tmp_path, 4)
        assert stores.number_before(tmp_path) == 4
        stores.note_number(tmp_path, 1)
    assert stores.number_before(tmp_path) == 1


def test_a_number_that_cannot_be_read_is_not_guessed(tmp_path: Path):
    with stores.held(tmp_path):
        (tmp_path / stores.FOLDER / stores.NUMBER).write_text("two")

        with pytest.raises(StoreDamaged, match="how many workers"):
            stores.number_before(tmp_path)


def test_without_workers_there_is_nothing_to_look_for(tmp_path: Path):
    assert stores.left_over(tmp_path / "nowhere", 1) == []


def test_a_state_directory_has_one_parent_at_a_time(tmp_path: Path):
    with (
        stores.held(tmp_path),
        pytest.raises(StoreDamaged, match="is in use by process"),
        stores.held(tmp_path),
    ):
        pass


def test_nobody_else_may_look_at_the_sockets(tmp_path: Path):
    with stores.held(tmp_path):
        assert (tmp_path / stores.FOLDER).stat().st_mode & 0o077 == 0


def test_a_folder_of_somebody_else_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def somebody_elses(path: Path, mode: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "chmod", somebody_elses)

    with pytest.raises(NotPermitted, match="has to belong to the user that runs"), stores.held(tmp_path):
        pass
