"""What happened, as the processes of a run wrote it down: one JSON object a line, one file a process.

    {"t": 123, "p": "send-1", "op": "invoke", "ev": "s1/k7/42", "att": "1", …}
    {"t": 180, "p": "send-1", "op": "ok", "ev": "s1/k7/42", "att": "1", "code": 202}
    {"t": 201, "p": "sink-steady", "op": "recv", "ev": "s1/k7/42", "att": "1", "n": 1, "hash": "ok", …}
    {"t": 202, "p": "sink-steady", "op": "answer", "ev": "s1/k7/42", "att": "1", "n": 1, "how": "accept", "code": 202}
    {"t": 950, "p": "nemesis", "op": "fault", "f": "kill", "on": true}

`t` is the machine's monotonic clock in nanoseconds, which all its processes share; so the files of one
machine are merged by it. A line is written whole, before what it tells takes effect: a process that is
killed afterwards has still told it.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

SYNC_SECONDS = 0.5
"""Between two syncs of a history. Every line is handed to the kernel at once, which is what survives a killed
process; the sync is for a machine that goes down, and one for a group of lines costs the run nothing."""

SUFFIX = ".jsonl"

Record = Mapping[str, Any]
"""One line. `_at` is added when it is read: file and number of the line."""


class BadHistory(Exception):
    """The folder holds no history that can be judged; the message says where and why."""


class History:
    """One process's own file; any thread may write. A context manager: on leaving, all is synced."""

    def __init__(self, directory: Path, process: str) -> None:
        self.process = process
        self._file = os.open(
            directory / f"{process}{SUFFIX}", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
        self._over = threading.Event()
        self._syncing = threading.Thread(target=self._sync, name="history", daemon=True)

    def write(self, op: str, **facts: Any) -> int:
        """Note a fact; when this returns, the death of this process does not undo it. Gives its moment."""
        moment = time.monotonic_ns()
        line = json.dumps({"t": moment, "p": self.process, "op": op, **facts}, separators=(",", ":"))
        os.write(self._file, line.encode() + b"\n")
        return moment

    def __enter__(self) -> Self:
        self._syncing.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._syncing.join()
        os.fsync(self._file)
        os.close(self._file)

    def _sync(self) -> None:
        while not self._over.wait(SYNC_SECONDS):
            os.fsync(self._file)


def read(directory: Path) -> list[dict[str, Any]]:
    """All files of a folder as one history, in order of time. Raises `BadHistory`."""
    files = sorted(directory.glob(f"*{SUFFIX}"))
    if not files:
        raise BadHistory(f"{directory} holds no history: no file that ends in {SUFFIX}")
    records = [record for file in files for record in _lines(file)]
    records.sort(key=lambda record: record["t"])  # stable: of one process in the order of its lines
    return records


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """The records of one file. A last line without its end was cut off by a kill, and is nothing that was told."""
    text = file.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            record = json.loads(line)
            record["_at"] = f"{file.name}:{number}"
            if not isinstance(record["t"], int) or not isinstance(record["op"], str):
                raise TypeError("t is no whole number, or op no text")
        except (ValueError, TypeError, KeyError) as error:
            raise BadHistory(f"{file}:{number}: not a line of a history: {error}") from error
        yield record
