"""A sink: a process that takes events as one trigger's subscriber, or as the dead letter sink, by its script.

`python -m mesh_gateway.testing.probe.sink DIRECTORY NAME` with the plan in the directory; ends on SIGTERM. What came
and what it decides is noted before the answer is sent: a sink that is killed has not taken anything in secret.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from mesh_gateway.testing.probe import codec, workload
from mesh_gateway.testing.probe.history import History
from mesh_gateway.testing.probe.http import Message, Server, rendered
from mesh_gateway.testing.probe.plan import LETTERS, Plan, load
from mesh_gateway.testing.probe.processes import LISTENING
from mesh_gateway.testing.probe.workload import Answer

DRIP_SECONDS = 0.5
"""Between two bytes of an answer that drips; with twenty bytes it is slower than any timeout of the plan."""


class Sink:
    """One sink's answers. `serve` may run any number of times at once."""

    def __init__(self, plan: Plan, name: str, history: History) -> None:
        self._plan = plan
        self._name = name
        self._history = history
        self._script = next((one.script for one in plan.triggers if one.name == name), "accept")
        self._seen: Counter[tuple[str, str, str]] = Counter()

    async def serve(self, message: Message, writer: asyncio.StreamWriter) -> None:
        """Note what came, decide, note that, and do it."""
        try:
            attributes, data = codec.decode(message.headers, message.body)
        except ValueError as error:
            self._history.write("recv", ev="", att="", n=0, trig=self._name, hash=f"unreadable: {error}")
            self._history.write("answer", ev="", att="", n=0, how="refuse", code=400)
            writer.write(rendered(400, {}))
            return
        came = facts(attributes, data, letter=self._name == LETTERS)
        ev, att = came["ev"], came["att"]
        if self._name != LETTERS:
            came["trig"] = self._name
        self._seen[ev, att, came["trig"]] += 1
        n = self._seen[ev, att, came["trig"]]
        self._history.write("recv", **came, n=n)
        answer = workload.answer(self._plan, self._script, self._name, ev, att, n)
        reply = workload.reply(attributes, n) if answer.how == "reply" else None
        told: dict[str, Any] = {}
        if reply is not None:
            told = {
                "reply": reply.ev,
                "rehash": reply.hash,
                "reid": reply.attributes["id"],
                "reatt": f"{att}.{n}",
            }
        self._history.write(
            "answer", ev=ev, att=att, n=n, trig=came["trig"], how=answer.how, code=answer.code, **told
        )
        await perform(answer, writer, _reply(reply, f"{att}.{n}"))


LETTER = {
    "reason": "meshreason",
    "attempts": "meshattempts",
    "lcode": "knativeerrorcode",
    "dest": "knativeerrordest",
}
"""What a dead letter says of itself, and how it is called in the history."""


def facts(attributes: codec.Attributes, data: bytes | None, *, letter: bool) -> dict[str, Any]:
    """What is noted of an event that came; of a dead letter, whose copy it is and what it says as well."""
    found: dict[str, Any] = {
        "ev": "/".join(attributes.get(name, "") for name in ("pbsrc", "pbkey", "pbseq")),
        "att": attributes.get(codec.ATTEMPT, ""),
        "trig": attributes.get("meshtrigger", "").rpartition("/")[2],
        "hash": _hash(attributes, data),
    }
    if "pbcause" in attributes:
        found |= {"cause": attributes["pbcause"], "id": attributes.get("id", "")}
    if letter:
        found |= {name: attributes[given] for name, given in LETTER.items() if given in attributes}
    return found


def _hash(attributes: codec.Attributes, data: bytes | None) -> str:
    """`ok <hash>`, or what is wrong with the event."""
    said = attributes.get(codec.HASH)
    if said is None:
        return "no pbhash"
    found = codec.digest(attributes, data)
    if found == said:
        return f"ok {said}"
    shown = {name: value[:80] for name, value in attributes.items()}
    return f"made {said}, came {found}: {shown}, {0 if data is None else len(data)} bytes"


def _reply(made: workload.Made | None, attempt: str) -> tuple[list[tuple[str, str]], bytes]:
    if made is None:
        return [], b""
    return codec.binary({**made.attributes, codec.ATTEMPT: attempt, codec.HASH: made.hash}, made.data)


async def perform(
    answer: Answer, writer: asyncio.StreamWriter, reply: tuple[list[tuple[str, str]], bytes]
) -> None:
    """Do what was decided."""
    headers, body = reply
    match answer.how:
        case "accept" | "reply" | "fail" | "refuse":
            writer.write(rendered(answer.code, [*headers, *(answer.headers or {}).items()], body))
            await writer.drain()
        case "hang":
            await asyncio.sleep(3600)
        case "drip":
            for byte in rendered(200, {}, b"x" * 20):
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(DRIP_SECONDS)
        case "reset":
            writer.transport.abort()
        case "cut":
            writer.write(rendered(200, {}, b"half")[:-2])
            await writer.drain()
            writer.close()
        case "garbage":
            writer.write(b"\x16\x03\x01 what is this\r\n\r\n")
            await writer.drain()
            writer.close()


async def main(directory: Path, name: str) -> None:
    """Listen until SIGTERM."""
    plan = load(directory)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with History(directory, f"sink-{name}") as history:
        sink = Sink(plan, name, history)
        try:
            await Server(sink.serve).run(plan.host, plan.ports[name], tell, stop)
        except OSError as error:
            why = error.strerror or str(error)
            sys.exit(f"the sink {name} cannot listen on {plan.host}:{plan.ports[name]}: {why}")


def tell() -> None:
    """For whoever started this process: it listens."""
    print(LISTENING, flush=True)  # noqa: T201 — into the process's log


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
