"""Reloads of a whole process under load: nothing is lost, untouched triggers are not touched, bad files change nothing."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from mesh_gateway.testing.ports import free_port
from tests.faults.figures import compare, counts, figure
from tests.faults.scale import scaled
from tests.faults.steady import steady
from tests.harness import (
    PATIENCE,
    Answer,
    GatewayProcess,
    Producer,
    Request,
    Subscriber,
    load,
    running,
)

RELOADS = scaled(150, 1_000, "MESH_RELOADS")
"""Promise 9 names a thousand; a hundred and fifty take a quarter of a minute on two cores."""

IDLE = scaled(10, 100)
"""Triggers that never change and want nothing: what is read, compared and made for each reload."""

QUIET = scaled(2.0, 10.0)
"""Seconds of the same load before the first reload, to compare with."""

MUTANTS = scaled(40, 500)

BROKER = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: b}\n"


def trigger(name: str, url: str, more: str = "") -> str:
    return (
        "apiVersion: eventing.knative.dev/v1\nkind: Trigger\n"
        f"metadata: {{name: {name}}}\nspec: {{broker: b, subscriber: {{uri: '{url}'}}{more}}}\n"
    )


def gateway_document(spec: str) -> str:
    return f"apiVersion: mesh-gateway.dev/v1alpha1\nkind: Gateway\nmetadata: {{name: g}}\nspec: {{{spec}}}\n"


def documents(*parts: str) -> str:
    return "---\n".join(parts)


def replace_file(file: Path, text: str) -> None:
    """As an editor or a configuration tool does: written elsewhere, renamed into place."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.rename(file)


async def asked(gateway: GatewayProcess, admin: int | None = None, **headers: str) -> tuple[int, str]:
    """POST /api/v1/reload: status and body."""

    def ask() -> tuple[int, str]:
        url = f"http://127.0.0.1:{admin or gateway.admin}/api/v1/reload"
        given = {"content-type": "application/json", **headers}
        request = urllib.request.Request(url, data=b"{}", headers=given, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(ask)


async def until(gateway: GatewayProcess, true: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The status, once this is true of it."""
    async with asyncio.timeout(PATIENCE):
        while not true(status := await gateway.status()):
            await asyncio.sleep(0.02)
    return status


async def digest_of(gateway: GatewayProcess, text: str, folder: Path) -> str:
    """What the gateway itself calls these documents."""
    file = folder / "other.yaml"
    file.write_text(text)
    from mesh_gateway.topology.kinds import Kinds
    from mesh_gateway.topology.load import Source
    from mesh_gateway.topology.load import load as load_documents
    from mesh_gateway.transport.plugins import load_plugins

    loaded = load_documents(Source.from_paths([str(file)]), environment={}, kinds=Kinds.of(load_plugins([])))
    assert loaded.spec is not None
    return loaded.spec.digest


async def test_hundreds_of_reloads_under_load_lose_nothing_and_the_last_valid_file_is_served(tmp_path: Path):
    def answer(request: Request) -> Answer:
        # Some retries and dead letters are always under way when a reload comes.
        return Answer(503 if request.path == "/changing" and random.random() < 0.2 else 202)

    async with Subscriber(answer) as subscriber, steady() as good:
        nothing = ", filter: {attributes: {type: none}}"
        same = [trigger("untouched", subscriber.url + "/untouched")]
        same += [trigger(f"idle-{n}", subscriber.url + "/idle", nothing) for n in range(IDLE)]

        def version(n: int) -> str:
            retry = f", delivery: {{retry: {n % 7 + 5}, backoffDelay: PT0.05S, backoffPolicy: linear}}"
            parts = [BROKER + good.trigger("b"), *same]
            parts.append(trigger("changing", subscriber.url + "/changing", retry))
            if n % 2:
                parts.append(trigger(f"coming-{n % 4}", subscriber.url + "/coming"))
            return documents(*parts)

        gateway = GatewayProcess(version(0), tmp_path)
        async with running(gateway):
            last = 0
            async with load(gateway) as producers:
                good.send(f"{gateway.url}/default/b", "before")
                await asyncio.sleep(QUIET)
                good.send(f"{gateway.url}/default/b", "meanwhile")
                for n in range(1, RELOADS + 1):
                    bad = n % 3 == 0
                    replace_file(gateway.file, version(n)[:-20] + ": [" if bad else version(n))
                    status, body = await asked(gateway)
                    assert status == (409 if bad else 200), body
                    last = last if bad else n
                seconds = await good.stop()
            acknowledged = {f for producer in producers for f in producer.acknowledged}
            status_now = await gateway.settled()
            await subscriber.received(
                lambda got: {r.id for r in got if r.path == "/untouched"} >= acknowledged
            )
            await subscriber.received(
                lambda got: {r.id for r in got if r.path == "/changing"} >= acknowledged
            )
            digest = await digest_of(gateway, version(last), tmp_path)
            assert await gateway.terminate() == 0

    counts(9, reloads=RELOADS, events=len(acknowledged), untouched_Triggers=IDLE + 2)
    compare(9, "an untouched Trigger", seconds, than="before")
    for phase, some in seconds.items():
        figure(9, f"longest pause of an untouched Trigger, {phase}", max(some) * 1_000, "ms")
    assert len(acknowledged) > RELOADS
    assert status_now["digest"] == digest
    assert status_now["reload"]["counts"]["refused"] == RELOADS // 3
    ids = subscriber.ids("/untouched")
    assert len(ids) == len(set(ids)), "a consumer that began anew would have been given some twice"
    assert {answer for producer in producers for answer in producer.answers} == {202}


async def test_fifty_signals_at_once_end_with_the_last_file(tmp_path: Path):
    async with Subscriber() as subscriber:
        gateway = GatewayProcess(documents(BROKER, trigger("t", subscriber.url)), tmp_path)
        async with running(gateway):
            for n in range(50):
                replace_file(gateway.file, documents(BROKER, trigger("t", f"{subscriber.url}/{n}")))
                os.kill(gateway.pid, signal.SIGHUP)
            await until(gateway, lambda status: status["triggers"][0]["subscriber"].endswith("/49"))
            status = await gateway.status()

            assert gateway.runs
            assert status["reload"]["counts"]["applied"] <= 50
            assert status["conditions"][0]["status"] == "True"


async def test_a_signal_while_the_gateway_starts_does_not_end_it(tmp_path: Path):
    gateway = GatewayProcess(documents(BROKER), tmp_path)
    try:
        starting = asyncio.ensure_future(gateway.start())
        async with asyncio.timeout(PATIENCE):
            while gateway._process is None or not ignores_hangups(gateway.pid):
                await asyncio.sleep(0)
        os.kill(gateway.pid, signal.SIGHUP)
        await starting

        assert (await until(gateway, lambda s: s["reload"]["last"]))["reload"]["last"][
            "result"
        ] == "unchanged"
    finally:
        await gateway.kill()


def ignores_hangups(pid: int) -> bool:
    """Whether the process has a handler for SIGHUP already."""
    caught = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt")
    )
    return bool(int(caught.split()[1], 16) & 1 << (signal.SIGHUP - 1))


async def test_mutated_documents_never_end_the_process_and_never_apply_half(tmp_path: Path):
    async with Subscriber() as subscriber:
        good = documents(BROKER, trigger("t", subscriber.url), trigger("u", subscriber.url))
        gateway = GatewayProcess(good, tmp_path)
        chance = random.Random(9)
        async with running(gateway):
            for _ in range(MUTANTS):
                at, length = chance.randrange(len(good)), chance.randrange(1, 12)
                junk = "".join(
                    chance.choice("{}[]:&*!|>'\"%@`\t\n-?x0\x7f") for _ in range(chance.randrange(6))
                )
                replace_file(gateway.file, good[:at] + junk + good[at + length :])
                before = await gateway.status()
                status, body = await asked(gateway)
                after = await gateway.status()

                assert status in (200, 409), body
                if status == 409:
                    names = [[t["name"] for t in s["triggers"]] for s in (before, after)]
                    assert (before["digest"], names[0]) == (after["digest"], names[1])
                assert after["state"] == "ready"
            assert "Traceback" not in gateway.log.read_text()


async def test_a_refused_reload_is_visible_and_the_old_documents_go_on(tmp_path: Path):
    async with Subscriber() as subscriber:
        gateway = GatewayProcess(documents(BROKER, trigger("t", subscriber.url)), tmp_path)
        async with running(gateway):
            gateway.file.write_text("kind: Nonsense: [")
            status, body = await asked(gateway)
            await Producer(gateway.ingress, "/default/b").send(["1"])
            await subscriber.received(lambda got: len(got) == 1)
            metrics = (await gateway.get("/metrics"))[1]

            assert status == 409
            assert "MG002" in body
            assert (await gateway.status())["conditions"][0]["reason"] == "ReloadRefused"
            assert 'mesh_gateway_config_reloads_total{result="refused"} 1.0' in metrics
            assert "mesh_gateway_config_stale 1.0" in metrics
            assert (await gateway.get("/readyz"))[0] == 200
            assert "reload refused" in gateway.log.read_text()


@pytest.mark.parametrize(("verb", "options", "shown"), [("run", ("--watch",), 0), ("dev", (), 1)])
async def test_watched_files_are_served_as_soon_as_they_are_saved(
    tmp_path: Path, verb: str, options: tuple[str, ...], shown: int
):
    """`shown`: the display triggers that `dev` adds."""
    async with Subscriber() as subscriber:
        gateway = GatewayProcess(
            documents(BROKER, trigger("t", subscriber.url)), tmp_path, verb=verb, options=options
        )
        async with running(gateway):
            with gateway.file.open("a") as file:
                file.write("---\n" + trigger("u", subscriber.url)[:60])
                file.flush()
                file.write(trigger("u", subscriber.url)[60:])
            await until(gateway, lambda status: len(status["triggers"]) == 2 + shown)

            replace_file(gateway.file, documents(BROKER))
            await until(gateway, lambda status: len(status["triggers"]) == shown)


async def test_reset_the_ingress_changes_its_limits_in_place_and_its_port_without_refusing_anybody(
    tmp_path: Path,
):
    ports = [free_port() for _ in range(2)]
    admins = [free_port() for _ in range(2)]

    def listening(n: int, more: str = "") -> str:
        listen = f"listen: '127.0.0.1:{ports[n]}'{more}"
        return documents(
            BROKER,
            trigger("t", subscriber.url),
            gateway_document(f"ingress: {{{listen}}}, admin: {{listen: '127.0.0.1:{admins[n]}'}}"),
        )

    async with Subscriber() as subscriber:
        gateway = GatewayProcess(listening(0), tmp_path, listens=(ports[0], admins[0]))
        async with running(gateway):
            kept = Producer(ports[0], "/default/b")
            reader, writer = await asyncio.open_connection("127.0.0.1", ports[0])
            writer.write(kept._request("1", {}))
            await reader.readuntil(b"\r\n\r\n")

            replace_file(gateway.file, listening(0, ", maxEventBytes: 70000"))
            assert (await asked(gateway))[0] == 200
            writer.write(kept._request("2", {}))
            assert b"202" in await reader.readuntil(b"\r\n\r\n"), "another limit closes no connection"
            large = b"POST /default/b HTTP/1.1\r\nhost: x\r\ncontent-length: 80000\r\n\r\n"
            writer.write(large)
            assert b"413" in await reader.readuntil(b"\r\n\r\n")
            writer.close()

            replace_file(gateway.file, listening(1))
            assert (await asked(gateway))[0] == 200
            gateway.ingress, gateway.admin = ports[1], admins[1]
            await Producer(ports[1], "/default/b").send(["3"])
            await subscriber.received(lambda got: [r.id for r in got] == ["1", "2", "3"])
            status = await gateway.status()
            assert status["ingress"].endswith(str(ports[1]))
            assert await gateway.terminate() == 0


async def test_an_address_that_is_taken_refuses_the_reload_as_a_whole(tmp_path: Path):
    async with Subscriber() as subscriber:
        port, admin = free_port(), free_port()
        admin_listens = f"admin: {{listen: '127.0.0.1:{admin}'}}"
        spec = f"ingress: {{listen: '127.0.0.1:{port}'}}, {admin_listens}"
        taken = f"ingress: {{listen: '127.0.0.1:{subscriber.port}'}}, {admin_listens}"
        first = documents(BROKER, trigger("t", subscriber.url), gateway_document(spec))
        second = documents(BROKER, trigger("u", subscriber.url), gateway_document(taken))
        gateway = GatewayProcess(first, tmp_path, listens=(port, admin))
        async with running(gateway):
            replace_file(gateway.file, second)
            status, body = await asked(gateway)
            names = [one["name"] for one in (await gateway.status())["triggers"]]

    assert status == 409
    assert f"cannot listen on 127.0.0.1:{subscriber.port}" in body
    assert names == ["default/t"], "nothing of it was applied"


async def test_hot_another_admin_token_counts_at_once(tmp_path: Path):
    spec = "admin: {{listen: '127.0.0.1:{admin}', token: {{valueFrom: {{env: {name}}}}}}}"
    port, admin = free_port(), free_port()
    gateway = GatewayProcess("", tmp_path, {"OLD": "old-token", "NEW": "new-token"}, listens=(port, admin))
    ingress = f"ingress: {{listen: '127.0.0.1:{port}'}}, "
    gateway.file.write_text(
        documents(BROKER, gateway_document(ingress + spec.format(admin=admin, name="OLD")))
    )
    async with running(gateway):
        replace_file(
            gateway.file, documents(BROKER, gateway_document(ingress + spec.format(admin=admin, name="NEW")))
        )
        answers = [
            (await asked(gateway, Authorization=f"Bearer {token}"))[0]
            for token in ("wrong", "old-token", "old-token", "new-token")
        ]

    assert answers == [401, 200, 401, 200]


async def test_reset_a_renewed_certificate_is_shown_on_the_same_port_and_nobody_is_refused_meanwhile(
    tmp_path: Path,
):
    authority = trustme.CA()
    port, admin = free_port(), free_port()

    def renew(serial: str) -> None:
        issued = authority.issue_cert("127.0.0.1", organization_name=serial)
        issued.cert_chain_pems[0].write_to_path(tmp_path / "c.pem")
        issued.private_key_pem.write_to_path(tmp_path / "k.pem")

    def shown() -> str:
        """The organization that the listener's certificate names."""
        context = ssl.create_default_context()
        authority.configure_trust(context)
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as wire:
            found = wire.getpeercert()
        assert found is not None
        subject: Any = found["subject"]
        names: dict[str, str] = dict(pair for part in subject for pair in part)
        return names["organizationName"]

    renew("old")
    tls = "tls: {certificate: c.pem, key: k.pem}"
    spec = f"ingress: {{listen: '127.0.0.1:{port}', {tls}}}, admin: {{listen: '127.0.0.1:{admin}'}}"
    gateway = GatewayProcess(documents(BROKER, gateway_document(spec)), tmp_path, listens=(port, admin))
    async with running(gateway):
        before = await asyncio.to_thread(shown)
        renew("new")
        knocking = True
        answers: list[str] = []

        async def knock() -> None:
            while knocking:
                answers.append(await asyncio.to_thread(shown))

        knocks = asyncio.ensure_future(knock())
        status, body = await asked(gateway)
        after = await asyncio.to_thread(shown)
        knocking = False
        await knocks

    assert status == 200, body
    assert (before, after) == ("old", "new")
    assert set(answers) <= {"old", "new"}, "every connection was taken by one of the two"
