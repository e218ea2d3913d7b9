"""Reload: load → validate → diff → plan → apply, by one task, however many ask for it.

    SIGHUP ─┐
    watch  ─┼─▶ asked ─▶ one round: load ─▶ diff ─▶ apply ─▶ outcome, told to all who had asked when it began
    admin  ─┘              └── who asks meanwhile is served by the next round

All but the last step leave the gateway as it is, and the last one is done whole or not at all: so documents that cannot be
served leave the old ones in force, and the last word is that of the files as they were read last.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog

from mesh_gateway.errors import MeshError
from mesh_gateway.gateway.aside import aside
from mesh_gateway.topology.diff import Plan, diff
from mesh_gateway.topology.spec import GatewaySpec

log = structlog.get_logger("mesh_gateway.reload")

Result = Literal["applied", "unchanged", "refused"]


class CannotReload(MeshError):
    """These documents cannot be served by the running gateway; says why, and what to do."""


NO_MORE = "this process reloads nothing any more: it stops, or reloading has failed for good (its log says why; restart it)"

Load = Callable[[], GatewaySpec]
"""Reads the documents anew, in a thread. Raises `CannotReload`."""

Apply = Callable[[GatewaySpec], Awaitable[None]]
"""Goes over to another spec as a whole. Raises `MeshError` with nothing changed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one reload went."""

    result: Result
    generation: int
    digest: str
    """Of the documents that are served now."""
    reason: str = ""
    """Why it was refused."""
    plan: Plan = field(default_factory=Plan)
    """What was changed, or would have been."""
    seconds: float = 0.0
    at: float = 0.0

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "result": self.result,
            "generation": self.generation,
            "digest": self.digest,
            "reason": self.reason,
            "seconds": round(self.seconds, 6),
            "at": self.at,
            "changes": [change.document() for change in self.plan.changes],
        }


class Reloads:
    """What there is to know of all reloads of a process: for status and metrics."""

    def __init__(self, digest: str) -> None:
        self.generation = 1
        """Counts the documents that were applied since the process started."""
        self.digest = digest
        self.last_success = time.time()
        self.last: Outcome | None = None
        self.refusal: Outcome | None = None
        """The last reload, if it was refused: older documents are served."""
        self.ended = False
        """There are no more of them: the process stops, or the part that reloads has failed for good."""
        self.counts: Counter[str] = Counter({"applied": 0, "unchanged": 0, "refused": 0})

    def note(self, outcome: Outcome) -> None:
        """One reload is over."""
        self.counts[outcome.result] += 1
        self.last = outcome
        self.refusal = outcome if outcome.result == "refused" else None
        if self.refusal is None:
            self.last_success = outcome.at
            self.generation = outcome.generation
            self.digest = outcome.digest

    def document(self) -> dict[str, Any]:
        """As JSON: counts, and the last one."""
        return {
            "counts": dict(self.counts),
            "last_success": self.last_success,
            "last": None if self.last is None else self.last.document(),
        }


class Reloader:
    """Reloads whenever somebody has asked. `run` has one owner; `ask` and `reload` from anywhere in the loop."""

    def __init__(self, spec: GatewaySpec, load: Load, apply: Apply) -> None:
        self.reloads = Reloads(spec.digest)
        self._spec = spec
        self._load = load
        self._apply = apply
        self._asked = asyncio.Event()
        self._waiting: list[asyncio.Future[Outcome]] = []

    def ask(self) -> None:
        """Reload soon. Many who ask before it begins are served by one; who asks while one runs, by the next."""
        if self.reloads.ended:
            log.error("nothing is reloaded", reason=NO_MORE)
        self._asked.set()

    async def reload(self) -> Outcome:
        """Reload with the files as they are now or later, and tell how it went. Cancelling it cancels no reload.

        Raises `CannotReload` when it ended without an outcome, and when there are no more reloads.
        """
        if self.reloads.ended:
            raise CannotReload(NO_MORE)
        waiting: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self.ask()
        return await waiting

    async def run(self) -> None:
        """One reload after the other, until cancelled. May be run again."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            waiting, self._waiting = self._waiting, []
            try:
                outcome = await self._round()
            except BaseException:
                _refuse(waiting, "the reload ended unexpectedly; the log says why")
                raise
            self.reloads.note(outcome)
            _tell(outcome)
            for one in waiting:
                if not one.done():
                    one.set_result(outcome)

    def end(self) -> None:
        """`run` will not be run again: who waits is told so, and who asks from now on."""
        self.reloads.ended = True
        _refuse(self._waiting, NO_MORE)

    async def _round(self) -> Outcome:
        began = time.monotonic()
        plan = Plan()
        result: Result = "refused"
        reason = ""
        try:
            spec, plan = await aside(self._read)
            refuse_restarts(plan)
            if plan or spec.digest != self._spec.digest:
                await self._apply(spec)
                result = "applied"
            else:
                result = "unchanged"
            self._spec = spec
        except MeshError as error:
            reason = str(error)
        generation = self.reloads.generation + (result == "applied")
        seconds = time.monotonic() - began
        return Outcome(result, generation, self._spec.digest, reason, plan, seconds, time.time())

    def _read(self) -> tuple[GatewaySpec, Plan]:
        """In a thread: both take long where there is much."""
        spec = self._load()
        return spec, diff(self._spec, spec)


def _refuse(waiting: Iterable[asyncio.Future[Outcome]], why: str) -> None:
    for one in waiting:
        if not one.done():
            one.set_exception(CannotReload(why))


def refuse_restarts(plan: Plan) -> None:
    """Raises `CannotReload` when something of a plan needs a new process: then nothing of it is applied."""
    needed = [
        f"{change.title}: {', '.join(change.restarting)}"
        for change in plan.changes
        if change.effect == "restart"
    ]
    if needed:
        raise CannotReload(
            f"needs a restart of the gateway: {'; '.join(needed)}. Nothing of the change was applied"
        )


def _tell(outcome: Outcome) -> None:
    facts = {"generation": outcome.generation, "digest": outcome.digest, "seconds": round(outcome.seconds, 3)}
    if outcome.result == "refused":
        log.error("reload refused; the documents of before are served", reason=outcome.reason, **facts)
    else:
        changes = [f"{change.title} {change.how}: {change.effect}" for change in outcome.plan.changes]
        log.info("reloaded", result=outcome.result, changes=changes, **facts)
