"""The waits of a retry policy, as Knative's API comment has them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.delivery.policy import RetryPolicy


@pytest.mark.parametrize(("retry", "wait"), [(1, 2.0), (2, 4.0), (3, 6.0)])
def test_a_linear_wait_grows_by_the_delay(retry, wait):
    assert RetryPolicy(retry=9, backoff="linear", delay=2, jitter=False).wait(retry, None, 0.5) == wait


@pytest.mark.parametrize(("retry", "wait"), [(1, 0.4), (2, 0.8), (3, 1.6)])
def test_an_exponential_wait_doubles_from_twice_the_delay(retry, wait):
    policy = RetryPolicy(retry=9, backoff="exponential", delay=0.2, jitter=False)
    assert policy.wait(retry, None, 0.5) == pytest.approx(wait)


def test_the_first_attempt_and_every_retry_count():
    policy = RetryPolicy(retry=2)
    assert [policy.again(attempt) for attempt in (1, 2, 3)] == [True, True, False]


def test_no_retry_means_one_attempt():
    assert not RetryPolicy(retry=0).again(1)


def test_where_nothing_is_said_it_is_tried_once_and_waits_have_the_caps_of_knative_and_ours():
    policy = RetryPolicy()

    assert not policy.again(1)
    assert policy.wait(1, None, 0.5) == 0.0
    assert replace(policy, delay=1e9).wait(1, None, 0.5) == pytest.approx(3_600)
    assert policy.wait(1, 1e9, 0.5) == 600.0
    assert replace(policy, delay=10).wait(1, None, 0.0) == pytest.approx(18), "doubled, and spread by a tenth"


def test_retry_after_is_honoured_when_it_is_longer():
    policy = RetryPolicy(retry=1, delay=1, backoff="linear", jitter=False)
    assert policy.wait(1, 7.0, 0.5) == 7.0
    assert policy.wait(1, 0.1, 0.5) == 1.0


def test_a_retry_after_of_ten_years_is_capped():
    assert RetryPolicy(retry=1, retry_after_max=600, jitter=False).wait(1, 315e6, 0.5) == 600


def test_a_retry_after_max_of_zero_ignores_the_header():
    assert RetryPolicy(retry=1, retry_after_max=0, jitter=False).wait(1, 50, 0.5) == 0


@given(
    st.integers(1, 10_000),
    st.floats(0, 1e6),
    st.floats(0, 0.999),
    st.sampled_from(["linear", "exponential"]),
    st.one_of(st.none(), st.floats(0, 1e12)),
)
def test_no_wait_exceeds_its_caps(retry, delay, chance, backoff, after):
    policy = RetryPolicy(retry=retry, backoff=backoff, delay=delay)
    wait = policy.wait(retry, after, chance)
    assert 0 <= wait <= max(policy.backoff_max * 1.1, policy.retry_after_max)


@given(st.floats(0, 0.999))
def test_jitter_stays_within_ten_percent(chance):
    assert 9 <= RetryPolicy(retry=1, backoff="linear", delay=10).wait(1, None, chance) <= 11


@pytest.mark.parametrize("backoff", ["linear", "exponential"])
@pytest.mark.parametrize(
    ("retry", "delay", "most"), [(0, 1.0, 10.0), (3, 1.0, 10.0), (9, 0.5, 2.0), (50, 0.1, 1e9)]
)
def test_the_longest_is_the_sum_of_all_waits(backoff, retry: int, delay: float, most: float):
    policy = RetryPolicy(retry=retry, backoff=backoff, delay=delay, backoff_max=most, jitter=False)

    waits = [policy.wait(number, None, 0.5) for number in range(1, retry + 1)]

    assert policy.longest() == pytest.approx(sum(waits))


@pytest.mark.parametrize("backoff", ["linear", "exponential"])
def test_without_a_delay_the_longest_is_nothing_however_many_retries(backoff):
    assert RetryPolicy(retry=100, backoff=backoff, delay=0.0).longest() == 0.0


@pytest.mark.parametrize("backoff", ["linear", "exponential"])
def test_the_longest_of_as_many_retries_as_a_document_may_have_is_known_at_once(backoff):
    policy = RetryPolicy(retry=2**31 - 1, backoff=backoff, delay=0.2, backoff_max=3600.0)

    assert policy.longest() == pytest.approx(3600.0 * 2**31, rel=0.01)
