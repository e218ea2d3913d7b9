"""The verdict on a run of `probe`, and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mesh_gateway.cli.exits import CheckFailed
from mesh_gateway.cli.output import clean, colour, document, notice, table

if TYPE_CHECKING:
    from mesh_gateway.testing.probe.checker import Anomaly
    from mesh_gateway.testing.probe.verdict import Verdict

SHOWN = 5
"""Anomalies that are shown with their lines, if not of every kind one; all are in the JSON."""


def judge(directory: Path) -> Verdict:
    """The verdict. Raises `CheckFailed` when there is no history."""
    from mesh_gateway.testing.probe import verdict
    from mesh_gateway.testing.probe.history import BadHistory

    try:
        return verdict.judge(directory)
    except BadHistory as error:
        raise CheckFailed(str(error)) from error


def show(judged: Verdict, form: str, directory: Path) -> None:
    """Print a verdict."""
    if form == "json":
        document(judged.document(), form)
        return
    _show_counts(judged)
    _show_anomalies(judged, directory)
    for why in judged.invalid:
        click.echo(f"does not count: {clean(why)}")
    word = {"pass": "green", "anomaly": "red", "invalid": "yellow"}[judged.word]
    click.echo(f"verdict: {colour(judged.word, word)}")
    if judged.word != "pass":
        notice(f"history: {directory}")


def _show_counts(judged: Verdict) -> None:
    """What was sent, what came of it and how fast, and how the faults met it."""
    counts = judged.counts
    rows = [
        (trigger, ended, *(_cell(judged, trigger, when, "p50", "p99") for when in ("quiet", "faults")))
        for trigger, ended in counts["ended"].items()
    ]
    table(("trigger", "ended", "ms quiet (p50/p99)", "ms with faults"), rows)
    again = ", ".join(f"{cause} {count}" for cause, count in counts["again"].items())
    requests = ", ".join(f"{word} {count}" for word, count in counts["requests"].items())
    bitten = ", ".join(
        f"{name} {count} ({counts['bit'].get(name, 0)} bit)" for name, count in counts["faults"].items()
    )
    for name, text in (
        ("acknowledged", f"{counts['acknowledged']} of {counts['sent']} events (requests: {requests})"),
        ("deliveries", f"{counts['deliveries']}, dead letters {counts['dead_letters']}"),
        ("came again", f"{again} (sent again, no 2xx, a fault, unexplained)"),
        ("faults", bitten or "none"),
    ):
        click.echo(f"{name}: {text}")


def _cell(judged: Verdict, trigger: str, when: str, *names: str) -> str | None:
    found = judged.latencies[trigger][when]
    return " / ".join(str(found[name]) for name in names) if found["count"] else None


def _show_anomalies(judged: Verdict, directory: Path) -> None:
    shown = some_of_each(judged.anomalies)
    for one in shown:
        click.echo(f"{colour(one.kind, 'red')}: {clean(one.what)}")
        for line in one.lines:
            told = " ".join(f"{key}={value}" for key, value in line.items() if key not in ("_at", "t"))
            click.echo(f"    {line['_at']} t={line['t']} {clean(told)}")
    if len(judged.anomalies) > len(shown):
        click.echo(
            f"… and {len(judged.anomalies) - len(shown)} more; all of them: mesh-gateway probe check {directory} -o json"
        )


def some_of_each(anomalies: Sequence[Anomaly]) -> list[Anomaly]:
    """The first of each kind, and `SHOWN` at the least if there are so many."""
    first = {one.kind: one for one in reversed(anomalies)}
    chosen = [one for one in anomalies if first[one.kind] is one]
    return chosen + [one for one in anomalies if first[one.kind] is not one][: max(0, SHOWN - len(chosen))]
