"""Reloads: by one task, however many ask; the files read whole; refused as a whole; and all of it can be seen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mesh_gateway.errors import TopologyError
from mesh_gateway.gateway import status
from mesh_gateway.gateway.files import Files
from mesh_gateway.gateway.reload import CannotReload, Outcome, Reloader
from mesh_gateway.topology.sources import Source
from mesh_gateway.topology.spec import BrokerDestination as To
from mesh_gateway.topology.spec import GatewaySpec, TriggerSpec

FIRST = GatewaySpec(digest="d1")


def with_triggers(*names: str) -> GatewaySpec:
    found = {f"ns/{name}": TriggerSpec("ns", name, "ns/b", To("ns/c")) for name in names}
    return replace(FIRST, triggers=found, digest=f"digest of {names}")


class Documents:
    """What a reloader loads and applies: set by the test, and seen by it."""

    def __init__(self) -> None:
        self.spec: GatewaySpec = FIRST
        self.error: CannotReload | None = None
        self.refusal: TopologyError | None = None
        self.applied: list[GatewaySpec] = []
        self.loads = 0
        self.may_load = threading.Event()
        self.may_load.set()

    def load(self) -> GatewaySpec:
        self.loads += 1
        spec = self.spec
        self.may_load.wait(10)
        if self.error is not None:
            raise self.error
        return spec

    async def apply(self, spec: GatewaySpec) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.applied.append(spec)


@asynccontextmanager
async def reloading(documents: Documents) -> AsyncIterator[Reloader]:
    reloader = Reloader(FIRST, documents.load, documents.apply)
    task = asyncio.ensure_future(reloader.run())
    try:
        yield reloader
    finally:
        documents.may_load.set()
        task.cancel()
        await asyncio.wait({task})


async def told(reloader: Reloader) -> Outcome:
    async with asyncio.timeout(10):
        return await reloader.reload()


async def test_a_reload_applies_what_differs_and_says_so(capsys: pytest.CaptureFixture[str]):
    documents = Documents()
    async with reloading(documents) as reloader:
        documents.spec = with_triggers("a")

        outcome = await told(reloader)

    assert (outcome.result, outcome.generation, outcome.digest) == ("applied", 2, documents.spec.digest)
    assert documents.applied == [documents.spec]
    assert "Trigger ns/a added: hot" in capsys.readouterr().out


async def test_the_same_documents_change_nothing_and_are_no_new_generation():
    documents = Documents()
    async with reloading(documents) as reloader:
        outcome = await told(reloader)

    assert (outcome.result, outcome.generation, documents.applied) == ("unchanged", 1, [])


async def test_fifty_requests_before_a_reload_are_one():
    documents = Documents()
    async with reloading(documents) as reloader:
        documents.spec = with_triggers("a")
        for _ in range(50):
            reloader.ask()
        outcome = await told(reloader)

    assert (documents.loads, outcome.result) == (1, "applied")


async def test_a_request_during_a_reload_is_not_swallowed_and_the_last_files_win():
    documents = Documents()
    async with reloading(documents) as reloader:
        documents.may_load.clear()
        documents.spec = with_triggers("first")
        first = asyncio.ensure_future(reloader.reload())
        while documents.loads == 0:
            await asyncio.sleep(0)
        documents.spec = with_triggers("last")
        for _ in range(50):
            reloader.ask()
        second = asyncio.ensure_future(reloader.reload())
        await asyncio.sleep(0)
        documents.may_load.set()
        async with asyncio.timeout(10):
            outcomes = [await first, await second]

    assert [one.digest for one in outcomes] == [with_triggers("first").digest, with_triggers("last").digest]
    assert documents.applied == [with_triggers("first"), with_triggers("last")]
    assert documents.loads == 2


async def test_documents_that_cannot_be_read_leave_the_old_ones_until_others_can(
    capsys: pytest.CaptureFixture[str],
):
    documents = Documents()
    async with reloading(documents) as reloader:
        documents.error = CannotReload("mesh.yaml:3:1 MG002 error nonsense")
        refused = await told(reloader)
        condition = status.configured(reloader.reloads)
        documents.error, documents.spec = None, with_triggers("a")
        applied = await told(reloader)

        assert (refused.result, refused.generation, refused.digest) == ("refused", 1, "d1")
        assert (condition["status"], condition["reason"]) == ("False", "ReloadRefused")
        assert "MG002" in condition["message"]
        assert (applied.result, applied.generation) == ("applied", 2)
        assert status.configured(reloader.reloads)["status"] == "True"
        assert reloader.reloads.counts == {"applied": 1, "unchanged": 0, "refused": 1}
    assert "the documents of before are served" in capsys.readouterr().out


async def test_what_cannot_be_made_is_refused_and_asked_for_again_it_is_tried_again():
    documents = Documents()
    async with reloading(documents) as reloader:
        documents.spec = with_triggers("a")
        documents.refusal = TopologyError("a certificate is none")
        refused = await told(reloader)
        documents.refusal = None
        applied = await told(reloader)

    assert (refused.result, refused.reason) == ("refused", "a certificate is none")
    assert (applied.result, documents.applied) == ("applied", [documents.spec])


async def test_what_needs_a_new_process_is_refused_as_a_whole():
    documents = Documents()
    async with reloading(documents) as reloader:
        documents.spec = replace(
            with_triggers("a"), cluster="other", drain_timeout=1.0, state_directory=Path("elsewhere")
        )

        outcome = await told(reloader)

    assert outcome.result == "refused"
    assert (
        "needs a restart of the gateway: Gateway mesh-gateway: cluster, state.directory. Nothing"
        in outcome.reason
    )
    assert documents.applied == []


async def test_other_documents_that_mean_the_same_are_the_ones_served():
    documents = Documents()
    async with reloading(documents) as reloader:
        documents.spec = replace(FIRST, digest="d2")

        outcome = await told(reloader)

    assert (outcome.result, outcome.digest) == ("applied", "d2")
    assert documents.applied == [documents.spec]


async def test_when_reloading_has_ended_who_waits_and_who_asks_is_told_so_and_status_as_well(
    capsys: pytest.CaptureFixture[str],
):
    reloader = Reloader(FIRST, Documents().load, Documents().apply)
    waiting = asyncio.ensure_future(reloader.reload())
    await asyncio.sleep(0)

    reloader.end()
    reloader.ask()

    with pytest.raises(CannotReload, match="restart it"):
        await waiting
    with pytest.raises(CannotReload, match="restart it"):
        await told(reloader)
    assert status.configured(reloader.reloads)["reason"] == "ReloadsEnded"
    assert "nothing is reloaded" in capsys.readouterr().out


async def test_a_bug_in_a_reload_is_no_answer_but_ends_nothing():
    documents = Documents()

    async def broken(spec: GatewaySpec) -> None:
        raise ZeroDivisionError

    reloader = Reloader(FIRST, documents.load, broken)
    documents.spec = with_triggers("a")
    waiting = asyncio.ensure_future(reloader.reload())
    await asyncio.sleep(0)

    with pytest.raises(ZeroDivisionError):
        await reloader.run()

    with pytest.raises(CannotReload, match="log"):
        await waiting


# ── files ────────────────────────────────────────────────────────────────────────────────────


def texts(files: Files) -> list[str]:
    return [source.text for source in files.settled()]


def test_a_file_that_is_being_written_is_read_when_it_is_whole(tmp_path: Path):
    file = tmp_path / "mesh.yaml"
    file.write_text("first half, ")
    halves = iter(["second half, ", "end"])

    def writes_on(seconds: float) -> None:
        with file.open("a") as open_file:
            open_file.write(next(halves, ""))

    assert texts(Files([str(file)], pause=writes_on)) == ["first half, second half, end"]


def test_files_that_never_rest_are_refused(tmp_path: Path):
    file = tmp_path / "mesh.yaml"
    file.write_text("")

    def writes_on(seconds: float) -> None:
        with file.open("a") as open_file:
            open_file.write("x")

    with pytest.raises(CannotReload, match="rename"):
        Files([str(file)], pause=writes_on).settled()


def test_a_swapped_link_is_never_read_half_old_and_half_new(tmp_path: Path):
    for name in ("1", "2"):
        (tmp_path / f"..{name}").mkdir()
        for file in ("a.yaml", "b.yaml"):
            (tmp_path / f"..{name}" / file).write_text(f"{file} of {name}")
            (tmp_path / file).unlink(missing_ok=True)
            (tmp_path / file).symlink_to(f"..data/{file}")
    (tmp_path / "..data").symlink_to("..1")

    def swaps(seconds: float) -> None:
        (tmp_path / "..new").unlink(missing_ok=True)
        (tmp_path / "..new").symlink_to("..2")
        (tmp_path / "..new").rename(tmp_path / "..data")

    assert texts(Files([str(tmp_path)], pause=swaps)) == ["a.yaml of 2", "b.yaml of 2"]


def test_the_folders_watched_are_those_of_every_link_on_the_way(tmp_path: Path):
    for name in ("etc", "data", "real"):
        (tmp_path / name).mkdir()
    (tmp_path / "real" / "mesh.yaml").write_text("")
    (tmp_path / "data" / "mesh.yaml").symlink_to("../real/mesh.yaml")
    (tmp_path / "etc" / "mesh.yaml").symlink_to("../data/mesh.yaml")

    found = {folder.resolve() for folder in Files([str(tmp_path / "etc" / "mesh.yaml")]).folders()}

    assert found == {(tmp_path / name).resolve() for name in ("etc", "data", "real")}


def test_standard_input_is_read_once(monkeypatch: pytest.MonkeyPatch):
    class Piped:
        def __init__(self) -> None:
            self.buffer = self
            self.left = [b"piped"]

        def read(self) -> bytes:
            return self.left.pop()

    monkeypatch.setattr("sys.stdin", Piped())
    files = Files(["-"])

    assert texts(files) == texts(files) == ["piped"]
    assert not files.restless


async def changed(watching: AsyncIterator[None]) -> None:
    async with asyncio.timeout(20):
        await anext(watching)


async def test_a_change_is_noticed_however_it_is_made(tmp_path: Path):
    (tmp_path / "..1").mkdir()
    (tmp_path / "..1" / "mesh.yaml").write_text("1")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "mesh.yaml").symlink_to("..data/mesh.yaml")
    files = Files([str(tmp_path / "mesh.yaml")])
    watching = files.changes()

    async def in_place() -> None:
        (tmp_path / "..1" / "mesh.yaml").write_text("2")

    async def renamed() -> None:
        (tmp_path / "new").write_text("3")
        (tmp_path / "new").rename(tmp_path / "mesh.yaml")

    async def swapped() -> None:
        (tmp_path / "..2").mkdir()
        (tmp_path / "..2" / "mesh.yaml").write_text("4")
        (tmp_path / "mesh.yaml").unlink()
        (tmp_path / "mesh.yaml").symlink_to("..data/mesh.yaml")
        (tmp_path / "..new").symlink_to("..2")
        (tmp_path / "..new").rename(tmp_path / "..data")

    for change in (in_place, renamed, swapped):
        files.read()
        await change()
        await changed(watching)


async def test_files_are_looked_at_beside_the_loop_which_a_disk_that_hangs_would_hold_up(tmp_path: Path):
    looking: set[threading.Thread] = set()

    class Noting(Files):
        def _now(self) -> list[Source]:
            looking.add(threading.current_thread())
            return super()._now()

    (tmp_path / "mesh.yaml").write_text("one")
    watching = Noting([str(tmp_path / "mesh.yaml")]).changes()
    await anext(watching)

    assert looking
    assert threading.current_thread() not in looking
