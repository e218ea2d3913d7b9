"""All mutants by number: what is wrong with each, as what it must show, and in which run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mesh_gateway.testing.probe.checker.anomaly import Kind
from mesh_gateway.testing.probe.plan import TRIGGERS, Plan
from tests.faults.mutants import embedded, networked


@dataclass(frozen=True)
class Mutant:
    """One seeded bug, and the run of the prober that has to name it."""

    seed: Callable[[], None]
    shows: Kind
    plan: Plan = field(default_factory=Plan)
    wall_jump: float = 0.0
    """Seconds by which the wall clock is set during the run."""
    on: str = "embedded"
    """The transport."""

    @property
    def what(self) -> str:
        return (self.seed.__doc__ or "").partition("\n")[0]


def plan(*triggers: str, faults: tuple[str, ...] = (), retry: int | None = None, **more: object) -> Plan:
    """A short run with these triggers alone."""
    chosen = tuple(
        replace(one, retry=one.retry if retry is None else retry, least=1)
        for one in TRIGGERS
        if one.name in triggers
    )
    made = Plan(seed=20, seconds=4.0, triggers=chosen, faults=faults, silence=1.5, patience=20.0)
    return replace(made, **more)  # type: ignore[arg-type]


_STEADY = replace(plan("steady").triggers[0], retry=40, window="100, 8MiB", window_bytes=8 * 2**20)
BIG = Plan(
    seed=0, seconds=8.0, rate=120.0, smallest=300_000, largest=500_000, limit=1_048_576, triggers=(_STEADY,),
    faults=("subscriber",), slack=96 * 2**20, silence=1.5, patience=40.0,
)  # fmt: skip
"""Nearly 50 MB a second for a subscriber with a window of 8 MiB, which is away for almost four seconds. Without the bug the
gateway grows by 66 MiB."""

_FLAKY = replace(plan("flaky").triggers[0], wish=_STEADY.wish, filter=_STEADY.filter)
FLAKY = replace(plan("flaky", seconds=6.0), triggers=(_FLAKY,))
"""Everything goes to the subscriber that fails a third: there are always retries that wait."""

RELOADED = replace(FLAKY, triggers=(_FLAKY, *plan("picky").triggers))

MUTANTS: dict[str, Mutant] = {
    "M1": Mutant(
        embedded.settles_up_to_the_highest, "LOST", replace(FLAKY, faults=("kill",))
    ),
    "M2": Mutant(embedded.settles_before_the_dead_letter, "LOST", plan("refusing", faults=("collapse",))),
    "M3": Mutant(
        embedded.acknowledges_before_the_commit, "LOST", plan("steady", faults=("kill",), seconds=8.0)
    ),
    "M5": Mutant(embedded.takes_4xx_for_delivered, "LOST", plan("steady", "refusing")),
    "M6": Mutant(embedded.settles_when_the_dead_letter_sink_fails, "LOST", plan("refusing", faults=("letters",))),
    "M8": Mutant(embedded.forgets_retries_on_reload, "LOST", replace(RELOADED, faults=("reload",))),
    "M20": Mutant(embedded.swallows_signals_during_a_reload, "CONFIG", plan("steady", "picky", faults=("reload",))),
    "M10": Mutant(embedded.shares_a_buffer, "CORRUPT", plan("steady")),
    "M11": Mutant(embedded.remembers_filters_by_type_and_source_alone, "MISROUTED", plan("steady", "picky", "plain")),
    "M12": Mutant(embedded.retries_out_of_order, "ORDER", plan("ordered")),
    "M13": Mutant(embedded.decodes_percent_twice, "CORRUPT", plan("steady")),
    "M14": Mutant(embedded.delivers_after_the_dead_letter, "ZOMBIE", plan("refusing")),
    "M15": Mutant(embedded.settles_before_the_reply, "REPLY-LOST", plan("asking", "answered", faults=("kill",), seconds=8.0)),
    "M19": Mutant(embedded.waits_by_the_wall_clock, "STUCK", FLAKY, wall_jump=-3_600),
    "M1-kafka": Mutant(networked.commits_the_highest_offset, "LOST",
                       replace(FLAKY, faults=("kill",), patience=60.0, silence=5.0), on="kafka"),
    "M17": Mutant(embedded.holds_everything_in_memory, "LEAK", BIG),
}  # fmt: skip


@dataclass(frozen=True)
class Elsewhere:
    """A seeded bug that a test of its own finds: what it needs (a strict fake, an administrator's hand) is there."""

    seed: Callable[[], None]
    test: str
    needs: str = ""
    """The kind of transport whose server the test talks to."""


ELSEWHERE: dict[str, Elsewhere] = {
    "M7": Elsewhere(
        networked.gives_messages_the_events_id,
        "plugins/rabbitmq/tests/test_breakage.py::test_an_event_that_no_queue_takes_is_not_accepted",
        "rabbitmq",
    ),
    "M16": Elsewhere(
        networked.begins_new_partitions_at_their_end,
        "plugins/kafka/tests/test_server.py::test_a_partition_that_was_added_is_read_from_its_start",
        "kafka",
    ),
    "M18": Elsewhere(
        networked.keeps_the_first_handle,
        "plugins/sqs/tests/test_strictness.py::test_what_ran_out_and_came_again_is_deleted_with_its_newest_handle",
    ),
}

BUILT_IN: dict[str, str] = {
    "M4": "tests/faults/test_power_cut.py::test_the_same_cuts_lose_events_without_a_sync_for_every_commit",
    "M9": "tests/federation/test_simulation.py::test_a_broken_rule_is_found",
}
"""Bugs that are parameters of the harness that finds them; the test fails if they are not found."""
