"""A scrape of a running gateway, beside its other work."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mesh_gateway.gateway import backlog, metrics
from mesh_gateway.gateway.metrics import Exporter
from mesh_gateway.gateway.reload import Reloads
from mesh_gateway.ingress.limits import IngressCounters
from mesh_gateway.transport.contract import Measurable
from tests.gateway.reloading import Rig, gateway, running, trigger

NOBODY = "http://127.0.0.1:9"


def many(count: int, path: Path):
    return gateway(path, *(trigger(f"t{number}", NOBODY) for number in range(count)))


def exporter(rig: Rig) -> Exporter:
    return Exporter(rig.mesh, Reloads("digest"), IngressCounters(), {})


def triggers_of(text: bytes, name: str) -> set[str]:
    return {
        sample.labels["trigger"]
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name == f"mesh_gateway_{name}"
    }


async def test_others_get_their_turn_while_many_triggers_are_asked_about_and_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(metrics, "SLICE", 10)
    monkeypatch.setattr(backlog, "SLICE", 10)
    count = 300
    async with running(many(count, tmp_path)) as rig:
        scrape = asyncio.create_task(exporter(rig).render())
        turns = 0
        while not scrape.done():
            await asyncio.sleep(0)
            turns += 1

        assert turns >= 60, "thirty rests for the loop while asking, and thirty while writing"
        assert len(triggers_of(scrape.result(), "in_flight")) == count


async def test_a_scrape_that_documents_change_under_still_tells_of_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(metrics, "SLICE", 1)
    monkeypatch.setattr(backlog, "SLICE", 1)
    async with running(many(200, tmp_path)) as rig:
        scrape = asyncio.create_task(exporter(rig).render())
        await rig.without(*(f"t{number}" for number in range(200)))
        scraped = await scrape

        assert triggers_of(scraped, "delivery_duration_seconds_count") in (
            set(),
            {f"ns/t{number}" for number in range(200)},
        )
        await rig.gone()


async def test_what_does_not_answer_within_the_time_of_a_scrape_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backlog, "SCRAPE_SECONDS", 0.05)
    async with running(many(1, tmp_path)) as rig:
        transport = rig.mesh.parts.links["t"].transport
        assert isinstance(transport, Measurable)
        answer, ended = transport.backlog, asyncio.Event()

        async def silent(channel: str, group: str):
            if group != "shared":
                return await answer(channel, group)
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        monkeypatch.setattr(transport, "backlog", silent)

        told = await backlog.everything(rig.mesh)

        assert [one.group for one in told] == ["operators"]
        assert ended.is_set(), "nobody is left behind to ask on"
