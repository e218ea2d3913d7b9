"""Group commit: batches form by themselves, and every waiter hears its own ending once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from mesh_gateway.errors import ConnectionLost, MeshError, PublishError
from mesh_gateway.event import Event
from mesh_gateway.transport.batch import GroupCommit


def event(number: int) -> Event:
    return Event.new(type="t", source="/s", id=str(number))


class Publisher:
    """Holds each publish until the test lets it go."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None
        self.started = asyncio.Event()

    async def __call__(self, events: Sequence[Event]) -> None:
        self.batches.append([e.id for e in events])
        self.started.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error


class Endings(dict[str, MeshError | None]):
    def of(self, name: str):
        def done(error: MeshError | None) -> None:
            assert name not in self, "told twice"
            self[name] = error

        return done


@pytest.fixture
def publisher() -> Publisher:
    return Publisher()


async def test_what_arrives_during_a_publish_goes_out_together_in_the_next(publisher):
    commit = GroupCommit(publisher, max_batch=100, deadline=5)
    ends = Endings()
    running = asyncio.ensure_future(commit.run())
    commit.add(event(0), ends.of("0"))
    await publisher.started.wait()
    for number in range(1, 4):
        commit.add(event(number), ends.of(str(number)))
    publisher.gate.set()
    await commit.flushed()

    assert publisher.batches == [["0"], ["1", "2", "3"]]
    assert dict(ends) == {"0": None, "1": None, "2": None, "3": None}
    running.cancel()


async def test_what_sockets_hold_when_a_publish_ends_goes_out_with_what_waits(publisher):
    commit = GroupCommit(publisher, max_batch=100, deadline=5)
    ends = Endings()
    running = asyncio.ensure_future(commit.run())
    loop = asyncio.get_running_loop()
    # As bytes do that came meanwhile: the loop hands them to their connection once it is asked for callbacks again.
    commit.add(event(0), lambda error: loop.call_soon(commit.add, event(2), ends.of("2")))  # type: ignore[arg-type]
    await publisher.started.wait()
    commit.add(event(1), ends.of("1"))
    publisher.gate.set()
    while len(ends) < 2:
        await asyncio.sleep(0)
    running.cancel()

    assert publisher.batches == [["0"], ["1", "2"]]


async def test_no_batch_is_larger_than_the_transport_allows(publisher):
    publisher.gate.set()
    commit = GroupCommit(publisher, max_batch=2, deadline=5)
    ends = Endings()
    commit.add_all([event(n) for n in range(5)], ends.of("all"))
    running = asyncio.ensure_future(commit.run())
    await commit.flushed()

    assert [len(batch) for batch in publisher.batches] == [2, 2, 1]
    assert ends == {"all": None}
    running.cancel()


async def test_only_the_events_that_failed_hear_of_it(publisher):
    publisher.gate.set()
    publisher.error = PublishError("no", failed=[0], unknown=[2])
    commit = GroupCommit(publisher, max_batch=10, deadline=5)
    ends = Endings()
    for name in "abc":
        commit.add(event(1), ends.of(name))
    running = asyncio.ensure_future(commit.run())
    await commit.flushed()

    assert ends["b"] is None
    assert isinstance(ends["a"], PublishError)
    assert isinstance(ends["c"], PublishError)
    running.cancel()


async def test_several_events_with_one_ending_fail_together_if_one_fails(publisher):
    publisher.gate.set()
    publisher.error = PublishError("no", failed=[1])
    commit = GroupCommit(publisher, max_batch=10, deadline=5)
    ends = Endings()
    commit.add_all([event(n) for n in range(3)], ends.of("together"))
    running = asyncio.ensure_future(commit.run())
    await commit.flushed()

    assert isinstance(ends["together"], PublishError)
    running.cancel()


async def test_a_transport_error_fails_the_whole_batch_and_the_next_one_goes_on(publisher):
    publisher.gate.set()
    publisher.error = ConnectionLost("gone")
    commit = GroupCommit(publisher, max_batch=10, deadline=5)
    ends = Endings()
    commit.add(event(1), ends.of("lost"))
    running = asyncio.ensure_future(commit.run())
    await commit.flushed()
    publisher.error = None
    commit.add(event(2), ends.of("kept"))
    await commit.flushed()

    assert isinstance(ends["lost"], ConnectionLost)
    assert ends["kept"] is None
    running.cancel()


async def test_a_publish_without_an_answer_is_unknown_after_the_deadline(publisher):
    commit = GroupCommit(publisher, max_batch=10, deadline=0)
    ends = Endings()
    commit.add(event(1), ends.of("1"))
    running = asyncio.ensure_future(commit.run())
    await commit.flushed()

    error = ends["1"]
    assert isinstance(error, PublishError)
    assert error.unknown == {0}
    running.cancel()


async def test_being_cancelled_tells_everybody_that_waits(publisher):
    commit = GroupCommit(publisher, max_batch=1, deadline=5)
    ends = Endings()
    commit.add(event(1), ends.of("in the publish"))
    commit.add(event(2), ends.of("in the queue"))
    running = asyncio.ensure_future(commit.run())
    await publisher.started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    in_the_publish, in_the_queue = ends["in the publish"], ends["in the queue"]
    assert isinstance(in_the_publish, PublishError)
    assert in_the_publish.unknown
    assert isinstance(in_the_queue, PublishError)
    assert in_the_queue.failed


async def test_a_bug_in_a_plugin_leaves_no_waiter_without_an_ending(publisher):
    publisher.gate.set()
    publisher.error = RuntimeError("bug")
    commit = GroupCommit(publisher, max_batch=10, deadline=5)
    ends = Endings()
    commit.add(event(1), ends.of("1"))
    with pytest.raises(RuntimeError):
        await commit.run()

    assert isinstance(ends["1"], PublishError)


async def test_after_a_bug_nothing_waits_for_a_publish_that_nobody_makes_until_it_is_run_again(publisher):
    publisher.gate.set()
    publisher.error = RuntimeError("bug")
    commit = GroupCommit(publisher, max_batch=10, deadline=5)
    ends = Endings()
    commit.add(event(1), ends.of("1"))
    with pytest.raises(RuntimeError):
        await commit.run()
    commit.add(event(2), ends.of("2"))
    commit.add_all([event(3), event(4)], ends.of("3 and 4"))
    await asyncio.sleep(0)

    assert [isinstance(ends.get(name), PublishError) for name in ("2", "3 and 4")] == [True, True]
    assert commit.waiting == 0
    publisher.error = None
    running = asyncio.ensure_future(commit.run())
    await asyncio.sleep(0)
    commit.add(event(5), ends.of("5"))
    await commit.flushed()
    assert ends["5"] is None
    running.cancel()


async def test_an_empty_batch_is_durable_at_once(publisher):
    commit = GroupCommit(publisher, max_batch=10, deadline=5)
    ends = Endings()
    commit.add_all([], ends.of("empty"))
    await asyncio.sleep(0)

    assert ends == {"empty": None}
