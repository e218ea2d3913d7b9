"""Every test of the data listener runs twice: heads read by the native part where it can, and all of them in Python."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mesh_gateway import native
from mesh_gateway.ingress import protocol


@pytest.fixture(scope="module", autouse=True, params=["native", "python"])
def _reading(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "native" and native.PARTS.plain_head is None:
        pytest.skip(str(native.PARTS))
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr(protocol, "plain_head", None)
        yield
