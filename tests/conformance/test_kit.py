"""The kit can fail: each lie of a transport is found by the test that is there for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from mesh_gateway.errors import TransportError
from mesh_gateway.testing import Harness, TransportConformance
from mesh_gateway.testing.clock import ManualClock
from mesh_gateway.testing.harness import Kit, numbered, unpacked
from mesh_gateway.testing.suites import faults
from mesh_gateway.transport.contract import Transport, TransportContext
from mesh_gateway.transport.embedded import subscription
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.transport import EmbeddedTransport
from tests.conformance.liars import (
    AcknowledgesBeforeDurable,
    AcknowledgesUnanswered,
    AcknowledgesWhatItBuffers,
    AlwaysFine,
    AlwaysFromTheStart,
    Backwards,
    BackwardsWhenReleased,
    BeginsWhereItIsTold,
    BlocksTheLoop,
    BrowsesByTakingOut,
    BrowsesOnePage,
    BuriesNothingLarge,
    CallsItByItsEvent,
    CallsItByItsReader,
    CallsUnknownFailed,
    ChecksLoudly,
    ChecksNothing,
    ClosesForEver,
    ClosesOnce,
    CountsNothing,
    CountsWhatItHandsOut,
    DropsOnClose,
    EmptiesWhatItCloses,
    FindsWhatIsNotThere,
    ForgetsHeaders,
    ForgetsTypes,
    GroupsBeginAtTheEnd,
    HandsOutToEachMember,
    HandsOutTwice,
    HearsNoClose,
    HidesDrift,
    IgnoresRelease,
    IgnoresTheDelay,
    KeepsHalfABatch,
    KnowsOnlyWhatItEnsured,
    LeavesFilesOpen,
    LeavesTasksBehind,
    LeavesThreadsBehind,
    LogsEvents,
    LosesTheVeryLargest,
    LosesWhatIsCancelled,
    MakesAnew,
    MakesSomethingOfNothing,
    MakesWhatItVerifies,
    NamesNothing,
    Networked,
    NeverBehind,
    NeverGivesUp,
    NeverSettles,
    NoDataIsEmptyData,
    OneGroupOnly,
    OpensOnce,
    PermitsNothingQuietly,
    PublishesWhenClosed,
    RaisesDrift,
    RefusesToSettleTwice,
    RefusesToSettleWhatItReleased,
    ReleaseSettles,
    RemovesNothing,
    SettlesEarly,
    SettlesUpToTheHighest,
    SettlesWhatItHandsOut,
    SleepsThroughPublishes,
    SwallowsWhatHasNoChannel,
    TellsItsSecret,
    TellsThePassword,
    VerifiesWithoutLooking,
    WaitsInSilence,
    afar,
    declaring,
    with_subscription,
)
from tests.conformance.networked import PASSWORD, NetworkedTransport, Server, harness

ABSENT = 0.3
"""Seconds the kit waits here for what never comes; the truth takes milliseconds."""

LIES: list[tuple[type[EmbeddedTransport], str, dict[str, Any]]] = [
    (ForgetsTypes, "test_attributes_come_back_as_they_went", {"event": numbered("typed", flag=True)}),
    (NoDataIsEmptyData, "test_data_comes_back_byte_by_byte", {"data": None}),
    (KeepsHalfABatch, "test_the_largest_batch_arrives_whole", {}),
    (KeepsHalfABatch, "test_a_thousand_concurrent_publishes_all_arrive_once", {}),
    (
        with_subscription(SettlesWhatItHandsOut),
        "test_what_is_not_settled_comes_again_from_the_next_subscription",
        {},
    ),
    (with_subscription(SettlesWhatItHandsOut), "test_what_is_not_settled_outlives_the_transport", {}),
    (with_subscription(NeverSettles), "test_what_is_settled_never_comes_again", {}),
    (
        with_subscription(SettlesUpToTheHighest),
        "test_what_is_settled_out_of_order_leaves_the_gap_unsettled",
        {},
    ),
    (with_subscription(ReleaseSettles), "test_what_is_released_comes_again_and_the_rest_does_not", {}),
    (with_subscription(ReleaseSettles), "test_releasing_costs_nothing_however_often", {}),
    (with_subscription(IgnoresTheDelay), "test_a_delay_is_honoured_or_refused", {}),
    (declaring(delay=0.0), "test_a_delay_is_honoured_or_refused", {}),
    (
        with_subscription(CountsWhatItHandsOut),
        "test_a_message_keeps_its_position_however_often_it_is_handed_out",
        {},
    ),
    (with_subscription(CallsItByItsReader), "test_a_message_has_the_same_position_in_every_group", {}),
    (with_subscription(CallsItByItsEvent), "test_two_messages_with_one_event_have_two_positions", {}),
    (OneGroupOnly, "test_two_groups_each_get_every_event", {}),
    (declaring(groups=False), "test_two_groups_each_get_every_event", {}),
    (with_subscription(HandsOutTwice), "test_two_members_of_a_group_share_its_events", {}),
    (AlwaysFromTheStart, "test_a_new_group_begins_where_it_is_told", {}),
    (AlwaysFromTheStart, "test_a_group_begins_at_a_position_or_refuses_it", {}),
    (AlwaysFromTheStart, "test_a_group_begins_at_a_moment_or_refuses_it", {}),
    (declaring(seek=frozenset()), "test_a_group_begins_at_a_position_or_refuses_it", {}),
    (declaring(seek=frozenset()), "test_a_group_begins_at_a_moment_or_refuses_it", {}),
    (with_subscription(Backwards), "test_order_is_kept_as_declared", {}),
    (SwallowsWhatHasNoChannel, "test_a_channel_that_is_not_there_is_an_error", {}),
    (with_subscription(HearsNoClose), "test_closing_ends_a_receive_that_waits", {"what": "subscription"}),
    (with_subscription(HearsNoClose), "test_an_empty_receive_ends_by_itself", {}),
    (MakesWhatItVerifies, "test_verifying_an_absent_channel_says_so_and_makes_nothing", {}),
    (MakesWhatItVerifies, "test_off_makes_nothing", {}),
    (LeavesTasksBehind, "test_opening_and_closing_leaves_nothing_behind", {}),
    (ChecksNothing, "test_a_healthy_transport_checks_itself_as_healthy", {}),
    (declaring(browse=False), "test_browsing_is_there_exactly_when_it_is_declared", {}),
    (declaring(measure=False), "test_measuring_is_there_exactly_when_it_is_declared", {}),
    (BrowsesByTakingOut, "test_browsing_changes_nothing", {}),
    (RemovesNothing, "test_a_removed_dead_letter_is_gone_and_the_others_stay", {}),
    (NeverBehind, "test_the_backlog_is_what_is_not_settled", {}),
    (declaring(counts_attempts=True), "test_attempts_are_counted_as_declared", {}),
    (declaring(lease=1.0), "test_a_lease_ends_as_declared", {}),
    (declaring(dedup=60.0), "test_a_second_copy_is_dropped_only_where_that_is_declared", {}),
    (
        LosesTheVeryLargest,
        "test_an_event_at_the_declared_limit_is_carried_and_one_beyond_it_refused",
        {},
    ),
    (
        declaring(max_event_bytes=2**17),
        "test_an_event_at_the_declared_limit_is_carried_and_one_beyond_it_refused",
        {},
    ),
    (declaring(delay=-1.0), "test_the_declared_values_make_sense", {}),
    (
        ForgetsHeaders,
        "test_attributes_come_back_as_they_went",
        {"event": numbered("traced", headers={"a": "b"})},
    ),
    (AcknowledgesBeforeDurable, "test_attributes_come_back_as_they_went", {"event": numbered("volatile")}),
    (MakesSomethingOfNothing, "test_an_empty_batch_is_nothing", {}),
    (BuriesNothingLarge, "test_a_dead_letter_of_the_largest_event_is_carried", {}),
    (with_subscription(DropsOnClose), "test_what_is_not_settled_comes_again_from_the_next_subscription", {}),
    (with_subscription(LosesWhatIsCancelled), "test_a_cancelled_receive_loses_nothing", {}),
    (with_subscription(IgnoresRelease), "test_what_is_released_comes_again_and_the_rest_does_not", {}),
    (with_subscription(RefusesToSettleTwice), "test_settling_twice_is_harmless", {}),
    (with_subscription(RefusesToSettleWhatItReleased), "test_settling_after_releasing_is_harmless", {}),
    (HandsOutToEachMember, "test_two_members_of_a_group_share_its_events", {}),
    (
        with_subscription(DropsOnClose),
        "test_what_a_member_held_goes_to_the_others_when_it_closes",
        {},
    ),
    (
        with_subscription(BackwardsWhenReleased),
        "test_order_is_kept_when_events_come_again",
        {"way": "after a release"},
    ),
    (
        with_subscription(Backwards),
        "test_order_is_kept_when_events_come_again",
        {"way": "from the next subscription"},
    ),
    (with_subscription(SleepsThroughPublishes), "test_a_receive_that_waits_is_woken_by_a_publish", {}),
    (GroupsBeginAtTheEnd, "test_a_group_made_with_its_channel_begins_at_the_start", {}),
    (BeginsWhereItIsTold, "test_a_group_that_exists_goes_on_whatever_start_is_asked_for", {}),
    (LeavesFilesOpen, "test_opening_and_closing_leaves_nothing_behind", {}),
    (LeavesThreadsBehind, "test_opening_and_closing_leaves_nothing_behind", {}),
    (with_subscription(ClosesOnce), "test_closing_twice_is_harmless", {}),
    (OpensOnce, "test_a_closed_transport_opens_again", {}),
    (PublishesWhenClosed, "test_a_closed_transport_refuses_to_publish", {}),
    (MakesAnew, "test_making_a_channel_is_idempotent_and_keeps_what_is_in_it", {}),
    (FindsWhatIsNotThere, "test_verifying_finds_a_channel_as_it_was_made", {}),
    (VerifiesWithoutLooking, "test_verifying_an_absent_channel_says_so_and_makes_nothing", {}),
    (
        KnowsOnlyWhatItEnsured,
        "test_with_ensure_off_a_channel_that_is_there_is_written_and_read_by_its_name",
        {},
    ),
    (ChecksLoudly, "test_checking_a_closed_transport_raises_nothing", {}),
    (TellsItsSecret, "test_no_secret_is_shown", {}),
    (BrowsesOnePage, "test_browsing_shows_all_dead_letters_in_pages", {}),
    (EmptiesWhatItCloses, "test_dead_letters_outlive_the_transport", {}),
    (
        type("Counts nothing", (with_subscription(CountsNothing), declaring(counts_attempts=True)), {}),
        "test_attempts_are_counted_as_declared",
        {},
    ),
]

LIES_AFAR: list[tuple[type[NetworkedTransport], str, dict[str, Any]]] = [
    (AcknowledgesUnanswered, "test_what_publish_returned_for_is_there_after", {"fault": "refused"}),
    (AcknowledgesWhatItBuffers, "test_what_publish_returned_for_is_there_after", {"fault": "half-open"}),
    (
        CallsUnknownFailed,
        "test_a_publish_whose_answer_was_lost_with_the_connection_is_not_called_failed",
        {},
    ),
    (CallsUnknownFailed, "test_what_publish_returned_for_is_there_after", {"fault": "answers lost"}),
    (afar(SettlesEarly), "test_what_was_not_settled_comes_again_after", {"fault": "cut"}),
    (afar(WaitsInSilence), "test_a_reader_is_told_of_or_survives", {"fault": "half-open"}),
    (afar(WaitsInSilence), "test_a_reader_is_told_of_or_survives", {"fault": "cut"}),
    (ClosesForEver, "test_closing_over_a_half_open_connection_ends", {}),
    (AcknowledgesWhatItBuffers, "test_a_restart_of_the_server_loses_nothing", {}),
    (
        AcknowledgesWhatItBuffers,
        "test_a_restart_in_the_midst_of_publishing_loses_nothing_acknowledged",
        {},
    ),
    (
        afar(SettlesEarly),
        "test_a_restart_in_the_midst_of_reading_brings_back_what_was_not_settled",
        {},
    ),
    (AlwaysFine, "test_a_server_that_is_down_is_said_to_be_and_served_when_it_is_back", {}),
    (NamesNothing, "test_a_server_that_is_down_is_said_to_be_and_served_when_it_is_back", {}),
    (NeverGivesUp, "test_out_of_reach_is_a_server_that", {"answer": "refuses"}),
    (NeverGivesUp, "test_out_of_reach_is_a_server_that", {"answer": "does not answer"}),
    (NamesNothing, "test_denied_is_named_soon_and_without_secrets", {"denial": "unknown host"}),
    (NamesNothing, "test_denied_is_named_soon_and_without_secrets", {"denial": "wrong password"}),
    (AlwaysFine, "test_denied_is_named_soon_and_without_secrets", {"denial": "wrong password"}),
    (TellsThePassword, "test_denied_is_named_soon_and_without_secrets", {"denial": "wrong password"}),
    (
        PermitsNothingQuietly,
        "test_denied_is_named_soon_and_without_secrets",
        {"denial": "missing permission"},
    ),
    (HidesDrift, "test_drift_is_reported_and_not_raised", {}),
    (RaisesDrift, "test_drift_is_reported_and_not_raised", {}),
]


def asked(lies: Sequence[tuple[type, str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """The tests that these lies are for, each once: else a test that always fails would find every lie."""
    return list({f"{test} {given}": (test, given) for _, test, given in lies}.values())


def local(transport: type[EmbeddedTransport], state: Path) -> Harness:
    clock = ManualClock()

    async def advance(seconds: float) -> None:
        clock.advance(seconds)

    def make() -> EmbeddedTransport:
        return transport(EmbeddedOptions(), TransportContext("lying", state), clock=clock)

    return Harness(make, advance=advance, secrets=(PASSWORD,))


async def believes(kit: Kit, test: str, given: dict[str, Any]) -> bool:
    """Whether this test of the kit passes."""
    try:
        await getattr(TransportConformance(), test)(kit, **given)
    except (AssertionError, TimeoutError, TransportError, pytest.fail.Exception):
        return False
    except pytest.skip.Exception as skipped:
        pytest.fail(f"{test} let itself be skipped: {skipped}")
    return True


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty receive of the embedded transport ends sooner than the kit's patience, as it does elsewhere."""
    monkeypatch.setattr(subscription, "WAIT_SECONDS", ABSENT / 5)


@pytest.fixture
async def _nothing_left():
    yield
    for task in LeavesTasksBehind.left:
        task.cancel()
    LeavesTasksBehind.left.clear()
    for end in LeavesThreadsBehind.left:
        end.set()
    LeavesThreadsBehind.left.clear()
    for file in LeavesFilesOpen.left:
        file.close()
    LeavesFilesOpen.left.clear()


@pytest.mark.usefixtures("_nothing_left")
@pytest.mark.parametrize(
    ("lie", "test", "given"), LIES, ids=[f"{lie.__name__}: {test}" for lie, test, _ in LIES]
)
async def test_a_lie_is_found(tmp_path, lie, test, given):
    async with unpacked(replace(local(lie, tmp_path), patience=ABSENT, recovery=3.0)) as kit:
        assert not await believes(kit, test, given), f"{test} believes {lie.__name__}"


@pytest.mark.parametrize(
    ("lie", "test", "given"),
    LIES_AFAR,
    ids=[f"{lie.__name__}: {test} {given}" for lie, test, given in LIES_AFAR],
)
async def test_a_lie_that_shows_when_something_breaks_is_found(tmp_path, monkeypatch, lie, test, given):
    monkeypatch.setattr(faults, "REFUSAL_SECONDS", 1.0)  # the truth takes 0.7
    monkeypatch.setattr(faults, "NOISE_SECONDS", 1.0)
    server = Server(tmp_path)
    await server.start()
    try:
        async with unpacked(harness(server, lie, patience=1.0, recovery=2.0)) as kit:
            assert not await believes(kit, test, given), f"{test} believes {lie.__name__}"
    finally:
        await server.stop()


@pytest.mark.parametrize(("test", "given"), asked(LIES), ids=str)
async def test_the_truth_is_believed(tmp_path, test, given):
    async with unpacked(local(EmbeddedTransport, tmp_path)) as kit:
        assert await believes(kit, test, given)


@pytest.mark.parametrize(("test", "given"), asked(LIES_AFAR), ids=str)
async def test_the_truth_is_believed_when_something_breaks(tmp_path, test, given):
    server = Server(tmp_path)
    await server.start()
    try:
        async with unpacked(harness(server, Networked, patience=1.0, recovery=2.0)) as kit:
            assert await believes(kit, test, given)
    finally:
        await server.stop()


async def test_an_event_in_the_log_is_found(tmp_path, caplog):
    async with unpacked(local(LogsEvents, tmp_path)) as kit:
        with pytest.raises(AssertionError, match="4711"):
            await TransportConformance().test_no_event_is_shown_in_the_log(kit, caplog)


async def test_what_blocks_the_loop_is_noted(tmp_path, caplog):
    async with unpacked(local(BlocksTheLoop, tmp_path)) as kit:
        await TransportConformance().test_nothing_blocks_the_event_loop(kit, caplog)

        assert any("blocked the event loop" in note for note in kit.notes)


async def test_who_blocks_nothing_is_not_accused(tmp_path, caplog):
    async with unpacked(local(EmbeddedTransport, tmp_path)) as kit:
        await TransportConformance().test_nothing_blocks_the_event_loop(kit, caplog)

        assert kit.notes == []


async def test_an_option_without_a_description_is_found(tmp_path):
    class Inner(BaseModel):
        depth: int = 1

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")
        url: str = Field(description="where")
        inner: Inner | None = Field(default=None, description="more")

    async with unpacked(replace(local(EmbeddedTransport, tmp_path), options_model=Options)) as kit:
        with pytest.raises(AssertionError, match=r"inner\.depth"):
            await TransportConformance().test_every_option_is_described(kit)


def test_a_harness_that_misspells_a_denial_is_told():
    def nothing() -> Transport:
        raise AssertionError("nobody asks for it")

    with pytest.raises(ValueError, match="wrong pasword is none of wrong password"):
        Harness(nothing, denied={"wrong pasword": nothing})


def test_every_test_of_the_kit_but_those_named_here_has_a_lie_to_find():
    tests = {name for name in dir(TransportConformance) if name.startswith("test_")}

    assert tests - {test for _, test, _ in [*LIES, *LIES_AFAR]} == {
        "test_every_option_is_described",  # above
        "test_no_event_is_shown_in_the_log",  # above
        "test_nothing_blocks_the_event_loop",  # above
        "test_the_kit_and_the_transport_speak_of_the_same_contract",
    }
