"""What the admin API needs of the parent, whom it asks, and what it makes of the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol

from starlette.exceptions import HTTPException

from mesh_gateway.gateway.admin.gateway import Served, not_here
from mesh_gateway.gateway.workers.asking import Answer, Asking, Silent

BAD_REQUEST = 400


class Several(Served, Protocol):
    """What this API needs of the parent."""

    @property
    def asked(self) -> Mapping[int, Asking]:
        """The workers that serve at this moment, by number."""
        ...

    @property
    def away(self) -> Sequence[int]:
        """Those that should, and do not."""
        ...

    async def ready(self) -> bool: ...


def serving(group: Several) -> list[tuple[int, Asking]]:
    """The workers that serve, in the order of their numbers. Raises a 503 where there is none."""
    found = sorted(group.asked.items())
    if not found:
        raise HTTPException(503, "no worker serves at the moment")
    return found


def known(group: Several, name: str | None) -> str:
    """The name of this broker. Raises a 404 that says which there are."""
    if name is None or name not in group.spec.brokers:
        raise not_here(name, group.spec.brokers)
    return name


async def answer_of(asking: Awaitable[Answer]) -> Answer:
    """What a worker answers. Raises a 503 where it does not."""
    try:
        return await asking
    except Silent as error:
        raise HTTPException(503, str(error)) from error


def good(answer: Answer) -> Answer:
    """Raises what the worker has answered instead."""
    if answer.status >= BAD_REQUEST:
        raise HTTPException(answer.status, answer.document["detail"])
    return answer
