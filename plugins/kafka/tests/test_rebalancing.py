"""One member's watermarks across rebalances, commits that fail and other members, against a group that keeps account.

Whatever happens, the group never knows an offset that is higher than the first event without an end, never learns
anything from a member about a partition that it does not have, and in the end every event was handed out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka import TopicPartition, errors
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from mesh_gateway_kafka import partitions as partitions_module
from mesh_gateway_kafka.partitions import Partitions
from mesh_gateway_kafka.watermark import Watermark

from tests.properties.machines import THOROUGH, LoopMachine, assert_found

PARTITIONS = [TopicPartition("topic", number) for number in range(2)]


class Group:
    """What the broker knows of the group; stands for aiokafka's consumer where `Partitions` asks it."""

    def __init__(self) -> None:
        self.offsets: dict[TopicPartition, int] = {}
        self.answers = True

    async def committed(self, partition: TopicPartition) -> int:
        if not self.answers:
            raise errors.GroupCoordinatorNotAvailableError
        return self.offsets.get(partition, -1)


class RebalanceMachine(LoopMachine):
    """This member reads, settles and commits; another one takes partitions over, goes on with them, and gives them back."""

    @initialize(begin=st.none() | st.integers(0, 4))
    def begin(self, begin: int | None) -> None:
        self.group = Group()
        if begin is not None:
            self.group.offsets = dict.fromkeys(PARTITIONS, begin)
        self.log: dict[TopicPartition, list[int]] = {partition: [] for partition in PARTITIONS}
        """Offsets of the records that are there to be read, with gaps."""
        self.end = dict.fromkeys(PARTITIONS, begin or 0)
        self.ended: dict[TopicPartition, set[int]] = {partition: set() for partition in PARTITIONS}
        """What was delivered, by whomever."""
        self.fetched: dict[TopicPartition, int] = {}
        """Where this member's consumer reads on, by partition that it has."""
        self.in_hand: list[tuple[TopicPartition, Watermark, int]] = []
        self.member = Partitions(self._commit, lambda: None)
        self.member.consumer = self.group  # type: ignore[assignment]
        self._assigned(set(PARTITIONS))

    # ── the group's side ─────────────────────────────────────────────────────────────────────

    async def _commit(self) -> None:
        """As `KafkaSubscription.commit`."""
        offsets = self.member.to_commit()
        if not self.group.answers:
            raise errors.CommitFailedError
        for partition, offset in offsets.items():
            assert partition in self.fetched, "it commits for a partition that it does not have"
            assert offset >= self.group.offsets.get(partition, 0), "it takes the group back"
            self.group.offsets[partition] = offset
        self.member.committed(offsets)

    def _assigned(self, partitions: set[TopicPartition], between: Callable[[], None] = lambda: None) -> None:
        self.run(self.member.on_partitions_revoked(set(self.fetched)))
        between()
        self.fetched = {partition: max(self.group.offsets.get(partition, 0), 0) for partition in partitions}
        self.run(self.member.on_partitions_assigned(partitions))
        assert self.member.watermarks.keys() == partitions

    @rule(partition=st.sampled_from(PARTITIONS), gaps=st.lists(st.integers(0, 3), max_size=5))
    def records_are_written(self, partition: TopicPartition, gaps: list[int]) -> None:
        for gap in gaps:
            self.log[partition].append(self.end[partition] + gap)
            self.end[partition] += gap + 1

    @rule(partitions=st.sets(st.sampled_from(PARTITIONS)), sure=st.booleans())
    def a_rebalance(self, partitions: set[TopicPartition], sure: bool) -> None:
        self.group.answers = sure
        self._assigned(partitions)
        self.group.answers = True

    @rule(partition=st.sampled_from(PARTITIONS), count=st.integers(1, 4), left=st.booleans())
    def another_member_has_it_for_a_while(self, partition: TopicPartition, count: int, left: bool) -> None:
        if partition in self.fetched:
            self._assigned(self.fetched.keys() - {partition})
        self._another_goes_on(partition, count)
        if not left:
            self._assigned(self.fetched.keys() | {partition})

    @rule(partition=st.sampled_from(PARTITIONS), count=st.integers(1, 4))
    def another_member_has_it_between_two_callbacks(self, partition: TopicPartition, count: int) -> None:
        self._assigned(set(PARTITIONS), lambda: self._another_goes_on(partition, count))

    def _another_goes_on(self, partition: TopicPartition, count: int) -> None:
        at = max(self.group.offsets.get(partition, 0), 0)
        read = [offset for offset in self.log[partition] if offset >= at][:count]
        self.ended[partition].update(read)
        if read:
            self.group.offsets[partition] = read[-1] + 1

    # ── this member's side ───────────────────────────────────────────────────────────────────

    @precondition(lambda self: self.fetched)
    @rule(which=st.integers(0, 1), count=st.integers(1, 6))
    def it_receives(self, which: int, count: int) -> None:
        partition = sorted(self.fetched)[which % len(self.fetched)]
        watermark = self.member.watermarks[partition]
        for offset in [offset for offset in self.log[partition] if offset >= self.fetched[partition]][:count]:
            self.fetched[partition] = offset + 1
            if watermark.hand_out(offset):
                self.in_hand.append((partition, watermark, offset))
            else:
                assert offset in self.ended[partition] or (partition, watermark, offset) in self.in_hand, (
                    "it is not handed out, and nobody has it"
                )

    @precondition(lambda self: self.in_hand)
    @rule(which=st.integers(0, 1_000))
    def a_delivery_ends(self, which: int) -> None:
        partition, watermark, offset = self.in_hand.pop(which % len(self.in_hand))
        self.ended[partition].add(offset)
        before = watermark.position
        moved = watermark.settle(offset)
        assert moved == (watermark.position > before)
        assert watermark.dropped or watermark.is_settled(offset)

    @precondition(lambda self: self.in_hand)
    @rule(which=st.integers(0, 1_000))
    def it_ends_twice(self, which: int) -> None:
        _, watermark, offset = self.in_hand[which % len(self.in_hand)]
        self.a_delivery_ends(which)
        assert not watermark.settle(offset)

    @rule()
    def it_commits(self) -> None:
        self.run(self._commit())

    @precondition(lambda self: self.fetched)
    @rule()
    def everything_is_delivered_and_committed(self) -> None:
        for which in range(len(self.fetched)):
            self.it_receives(which, 10_000)
        while self.in_hand:
            self.a_delivery_ends(0)
        self.it_commits()
        for partition in self.fetched:
            assert set(self.log[partition]) <= self.ended[partition]
            assert self.group.offsets.get(partition, 0) >= max(self.log[partition], default=-1) + 1
            assert self.member.watermarks[partition].held == 0

    @invariant()
    def what_the_group_knows_has_no_event_without_an_end_below(self) -> None:
        for partition, offset in self.group.offsets.items():
            left = [one for one in self.log[partition] if one not in self.ended[partition]]
            assert offset <= min(left, default=offset)

    @invariant()
    def memory_is_for_what_is_held_back_only(self) -> None:
        for partition, watermark in self.member.watermarks.items():
            in_hand = {offset for p, w, offset in self.in_hand if p == partition and w is watermark}
            assert watermark.held <= self.end[partition]
            assert watermark.position == min(in_hand, default=watermark.next)


TestRebalancing = RebalanceMachine.TestCase
TestRebalancing.settings = THOROUGH


# ── the machine finds ────────────────────────────────────────────────────────────────────────────


def test_a_watermark_that_commits_what_was_handed_out_is_found(monkeypatch):
    monkeypatch.setattr(Watermark, "position", property(lambda self: self.next))
    assert_found(RebalanceMachine)


def test_a_watermark_that_moves_with_any_settle_is_found(monkeypatch):
    def settle(self: Watermark, offset: int) -> bool:
        if self.dropped or self.is_settled(offset):
            return False
        while self._open and self._open[0] <= offset:
            self._open.popleft()
        return True

    monkeypatch.setattr(Watermark, "settle", settle)
    assert_found(RebalanceMachine)


def test_a_watermark_that_hands_out_nothing_below_its_position_but_forgets_what_is_above_is_found(
    monkeypatch,
):
    def hand_out(self: Watermark, offset: int) -> bool:
        if offset < self.next:
            return False
        if offset % 5:  # one in five is taken for known
            self._open.append(offset)
        self.next = offset + 1
        return bool(offset % 5)

    monkeypatch.setattr(Watermark, "hand_out", hand_out)
    assert_found(RebalanceMachine)


def test_a_member_that_keeps_its_watermarks_whatever_others_have_done_is_found(monkeypatch):
    assigned = Partitions.on_partitions_assigned

    async def kept(self: Partitions, partitions: Any) -> None:
        before = dict(self.watermarks)
        await assigned(self, partitions)
        for partition in partitions:
            self.watermarks[partition] = before.get(partition, self.watermarks[partition])
            self.watermarks[partition].dropped = False

    monkeypatch.setattr(Partitions, "on_partitions_assigned", kept)
    assert_found(RebalanceMachine)


def test_a_member_whose_old_deliveries_still_count_is_found(monkeypatch):
    class Undropped(Watermark):
        __slots__ = ()

        @property
        def dropped(self) -> bool:
            return False

        @dropped.setter
        def dropped(self, value: bool) -> None:
            pass

    async def assigned(self: Partitions, partitions: Any) -> None:
        for partition in set(partitions) - self.watermarks.keys():
            at = await self.consumer.committed(partition)  # type: ignore[union-attr]
            self.watermarks[partition] = Undropped(None if at == -1 else at)
        self.steady.set()

    monkeypatch.setattr(partitions_module.Partitions, "on_partitions_assigned", assigned)
    assert_found(RebalanceMachine)
