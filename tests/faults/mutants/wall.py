"""A wall clock that is set back or forward again and again while the gateway runs. Imported before anything that keeps a clock."""

from __future__ import annotations

import os
import time

EVERY = 0.7
"""Seconds between two times that it is set: so that whatever waits by it is hit."""


def jump(seconds: float) -> None:
    """`time.time` is off by so much more every time."""
    real, begun = time.time, time.monotonic()
    time.time = lambda: real() + seconds * ((time.monotonic() - begun) // EVERY)


if os.environ.get("MESH_WALL_JUMP"):
    jump(float(os.environ["MESH_WALL_JUMP"]))
