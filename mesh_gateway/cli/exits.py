"""With which code the process ends, and the errors that carry one (69, 74 and 78 are those of sysexits.h)."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

import click


class Exit(IntEnum):
    """The exit codes of every verb; public, like the verbs' names."""

    OK = 0
    CHECK_FAILED = 1
    """The answer is no: an event was refused or dead-lettered, a check failed, the gateway is not ready."""
    USAGE = 2
    """Click's own code for a command line that makes no sense."""
    PLAN_HAS_CHANGES = 3
    """Of `plan`, and as `PROVES_NOTHING` of `probe`; no other verb means something by it."""
    PROVES_NOTHING = 3
    """Of `probe` alone: the run was without an anomaly, and does not count."""
    UNREACHABLE = 69
    """Nobody answers at that address, or not as a gateway does."""
    UNTRUSTED_STORE = 74
    """Of `run` and `dev`: a sync has failed, or the store is damaged."""
    BAD_CONFIGURATION = 78


class CheckFailed(click.ClickException):
    """The answer is no; the message says why."""

    exit_code: ClassVar[int] = Exit.CHECK_FAILED


class NotPossible(CheckFailed):
    """What is asked for cannot be done there (by the transport of that Broker); the message says why."""


class Unreachable(click.ClickException):
    """Nobody answers; the message names the address and the way out."""

    exit_code: ClassVar[int] = Exit.UNREACHABLE


class BadConfiguration(click.ClickException):
    """The documents, or what was laid over them by options, cannot be served."""

    exit_code: ClassVar[int] = Exit.BAD_CONFIGURATION
