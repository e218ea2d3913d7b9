"""`status`: what transports, brokers and triggers of a running gateway are doing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from mesh_gateway.cli import options
from mesh_gateway.cli.output import clean, document, duration, table

TRIGGER_COLUMNS = ("trigger", "ready", "reason", "lag", "oldest", "in_flight", "parked", "delivered", "retried",
                   "dead_letters", "last_error")  # fmt: skip


RELAY_COLUMNS = (
    "relay",
    "ready",
    "reason",
    "mode",
    "backlog",
    "oldest",
    "sent",
    "dead_letters",
    "to",
    "last_error",
)


@click.command("status")
@options.admin
@options.data_output()
def command(admin: str, token: str | None, form: str) -> None:
    """Show what transports, brokers, triggers and relays are doing.

    READY and REASON are Knative's condition words. LAG is what a trigger has not finished: in its
    window and parked. REMOVED is what a reload took away while events waited for it: they are kept, and
    something of the same name takes them up. With `run --workers`, counts are those of all workers since each
    was started. The exit code is 0 whatever the state; healthcheck judges.
    """
    whole = options.client(admin, token).get("status")
    if form == "table":
        show(whole)
    else:
        document(whole, form)


def show(whole: Mapping[str, Any]) -> None:
    """The whole status for a person."""
    click.echo(
        f"{clean(whole['gateway'])} {clean(whole['version'])} · {clean(whole['state'])} · "
        f"cluster {clean(whole['cluster'])} · generation {whole['generation']} · "
        f"native parts {clean(whole.get('native') or 'none')} · "
        f"ingress {clean(whole.get('ingress'))} · admin {clean(whole.get('admin'))}\n"
    )
    for condition in whole.get("conditions", ()):
        if condition["status"] == "False":
            message = "\n  ".join(clean(line) for line in condition["message"].splitlines())
            click.echo(f"{condition['type']}=False {condition['reason']}: {message}\n")
    if whole.get("workers"):
        table(
            ("worker", "state", "pid", "restarts", "ingress", "error"),
            [worker(one) for one in whole["workers"]],
        )
        click.echo()
    table(("transport", "kind", "up", "detail"), [transport(one) for one in whole["transports"]])
    drifts = [drift(one, found) for one in whole["transports"] for found in one["drift"]]
    if drifts:
        click.echo()
        table(("channel", "transport", "differs in", "wanted", "found", "hint"), drifts)
    click.echo()
    table(
        ("broker", "ready", "reason", "transport", "accepted", "dead_letters", "url"),
        [broker(one) for one in whole["brokers"]],
    )
    if whole["triggers"]:
        click.echo()
        table(TRIGGER_COLUMNS, [trigger(one) for one in whole["triggers"]])
    if whole.get("relays"):
        click.echo()
        table(RELAY_COLUMNS, [relay(one) for one in whole["relays"]])
    if whole.get("removed"):
        click.echo()
        table(("removed", "kind", "broker", "backlog", "oldest"), [removed(one) for one in whole["removed"]])


def removed(one: Mapping[str, Any]) -> list[object]:
    """What was removed by a reload and left events behind."""
    return [one["name"], one["kind"], one["broker"], one["backlog"], duration(one["oldest_age"])]


def worker(one: Mapping[str, Any]) -> list[object]:
    """One process of several, or one without ingress that delivers what a former one has left."""
    ingress = "yes" if one["ingress"] else "no"
    return [one["worker"], one["state"], one["pid"], one["restarts"], ingress, one["error"] or None]


def transport(one: Mapping[str, Any]) -> list[object]:
    return [one["name"], one["kind"], "yes" if one["up"] else "no", one["detail"] or None]


def drift(one: Mapping[str, Any], found: Mapping[str, Any]) -> list[object]:
    """How a channel differs from what its document asks for."""
    return [
        found["channel"], one["name"], found["what"], found["wanted"], found["found"], found["hint"] or None
    ]  # fmt: skip


def broker(one: Mapping[str, Any]) -> list[object]:
    status, reason = readiness(one)
    return [one["name"], status, reason, one["transport"], one["accepted"], one["dead_letters"], one["url"]]


def trigger(one: Mapping[str, Any]) -> list[object]:
    status, reason = readiness(one)
    return [
        one["name"], status, reason, one["lag"], duration(one["oldest_age"]),
        f"{one['in_flight']}, {one['window']}/{one['window_limit']}", one["parked"], one["delivered"],
        one["retried"], one["dead_lettered"], one["last_error"] or None,
    ]  # fmt: skip


def relay(one: Mapping[str, Any]) -> list[object]:
    status, reason = readiness(one)
    return [
        one["name"], status, reason, one["mode"], one["backlog"], duration(one["oldest_age"]), one["sent"],
        one["dead_lettered"], one["to"], one["last_error"] or None,
    ]  # fmt: skip


def readiness(one: Mapping[str, Any]) -> tuple[str, str | None]:
    """Status and reason of the `Ready` condition."""
    for condition in one["conditions"]:
        if condition["type"] == "Ready":
            return condition["status"], condition.get("reason") or None
    return "Unknown", None
