"""No native part keeps what it has read or written: after a while of anything at all, there are no more objects than before."""

from __future__ import annotations

import gc
import random
import sys

import pytest

from mesh_gateway import native

fuzz = pytest.importorskip("tests.native.fuzz", reason=str(native.PARTS), exc_type=ModuleNotFoundError)

COUNT = 2_000
LEFT = 500
"""Objects: names that are remembered, what pytest has made meanwhile. One that stays of each call would be thousands."""


def test_what_is_read_and_written_is_let_go_of():
    fuzz.run(random.Random(1), COUNT)
    gc.collect()
    before = sys.getallocatedblocks()

    fuzz.run(random.Random(1), COUNT)

    gc.collect()
    assert sys.getallocatedblocks() - before < LEFT
