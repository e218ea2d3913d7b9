"""What is counted as noise, and what the spread of times is."""

from __future__ import annotations

import pytest

from tests.bench import noise, profiles
from tests.bench.distribution import percentile, slope, summary
from tests.bench.noise import Process, Reading


def test_all_cpu_that_is_not_ours_was_had_by_others():
    before = Reading(busy=100.0, stolen=5.0, ours=40.0, at=0.0)
    after = Reading(busy=116.0, stolen=5.5, ours=54.0, at=10.0)

    found = noise.between(before, after)

    assert found.others == pytest.approx(0.2)
    assert found.stolen == pytest.approx(0.05)


def test_a_quiet_machine_has_no_noise_below_nothing():
    before = Reading(busy=100.0, stolen=0.0, ours=40.0, at=0.0)

    assert noise.between(before, Reading(109.9, 0.0, 50.0, 10.0)).others == 0.0


def test_steal_is_not_busy_time():
    text = "cpu  100 20 30 5000 40 5 6 70 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n"

    busy, stolen = noise.machine(text)

    assert busy * noise.TICKS == pytest.approx(161)
    assert stolen * noise.TICKS == pytest.approx(70)


def test_a_process_may_have_any_name():
    found = noise.process("7 (a) b (c) S 3 7 7 0 -1 4194560 1 0 0 0 200 100 50 25 20 0 1 0 0 0 0")

    assert found == Process(3, 300 / noise.TICKS, 75 / noise.TICKS)


def test_a_family_is_everybody_below_its_root():
    found = {1: Process(0, 1, 0), 2: Process(1, 2, 0), 3: Process(2, 4, 8), 4: Process(1, 16, 0)}

    assert noise.family(found, {2}) == {2, 3}
    assert noise.used(found, {2, 3}) == 14


def test_a_percentile_is_one_of_the_values():
    values = [1.0, 2.0, 3.0, 4.0]

    assert [percentile(values, share) for share in (0.0, 0.25, 0.5, 0.51, 1.0)] == [1.0, 1.0, 2.0, 3.0, 4.0]


def test_a_percentile_of_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 0.5)


def test_a_summary_counts_what_is_longer_than_a_stall():
    found = summary([51.0, *[1.0] * 97, 50.0, 200.0])

    assert (found["p50"], found["p99"], found["max"]) == (1.0, 51.0, 200.0)
    assert (found["stalls"], found["count"]) == (2.0, 100.0)


def test_growth_is_the_slope_of_the_line_that_fits_best():
    assert slope([(0.0, 10.0), (1.0, 13.0), (2.0, 14.0)]) == pytest.approx(2.0)
    assert slope([(3.0, 10.0)]) == 0.0


def test_a_profile_tells_a_functions_own_time_from_what_it_called():
    stacks = ["run (/a/lib/python3.11/asyncio/base.py);accept (/b/mesh_gateway/broker/broker.py:7) 30"]
    stacks += ["run (/a/lib/python3.11/asyncio/base.py) 10"]

    assert profiles.shares(stacks) == [
        profiles.Share("accept (mesh_gateway/broker/broker.py)", 30, 30),
        profiles.Share("run (asyncio/base.py)", 10, 40),
    ]
