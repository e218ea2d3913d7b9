"""The documents that are served: compared with, and loaded anew."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mesh_gateway.gateway.admin.gateway import Served
from mesh_gateway.gateway.admin.requests import json_object, problem
from mesh_gateway.gateway.reload import CannotReload
from mesh_gateway.topology import shown

SHORTEST_SALT = 16
"""Characters: who makes each request with a salt of its own cannot be told that two have asked for the same."""


class Documents:
    """The handlers, one each."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def reload(self, request: Request) -> Response:
        """Reload, and answer when it is over: 200 with the outcome, 409 when the documents were refused."""
        try:
            outcome = await self._served.reloader.reload()
        except CannotReload as error:
            return problem(500, str(error))
        if outcome.result == "refused":
            return problem(409, outcome.reason)
        return JSONResponse(outcome.document())

    async def show(self, request: Request) -> Response:
        """What is served, for somebody who has files to compare it with (`topology.shown`): secrets only as marks, and
        only those that the asker has as well.
        """
        wanted = await json_object(request)
        salt, known = wanted.get("salt"), wanted.get("known")
        if not isinstance(salt, str) or not isinstance(known, list) or len(salt) < SHORTEST_SALT:
            raise HTTPException(400, f"salt: a text of {SHORTEST_SALT} or more; known: a list of marks")
        spec = shown.shown(self._served.spec, salt, {mark for mark in known if isinstance(mark, str)})
        return JSONResponse({"spec": spec, "options": sorted(self._served.options)})
