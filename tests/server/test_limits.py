"""Buckets fill at their rate, clients do not share them, and uploads share a budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitseek.server._limits import Budget, Rates
from bitseek.server._refusal import Refusal


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def passed(rates, client, n, cost=1.0):
    count = 0
    for _ in range(n):
        try:
            rates.take(client, cost)
            count += 1
        except Refusal as refusal:
            assert refusal.status == 429 and int(refusal.headers["Retry-After"]) >= 1
    return count


def test_two_seconds_of_requests_at_once_then_the_rate():
    clock = Clock()
    rates = Rates(50.0, clock)
    assert passed(rates, "a", 1000) == 100
    assert passed(rates, "b", 1000) == 100  # another client
    clock.now += 0.5
    assert passed(rates, "a", 1000) == 25
    clock.now += 1e6
    assert passed(rates, "a", 1000) == 100
    assert passed(Rates(None), "a", 5000) == 5000


def test_a_costly_request_counts_as_several():
    assert passed(Rates(50.0, Clock()), "a", 1000, cost=10.0) == 10


def test_workers_share_the_rate():
    clock = Clock()
    workers = [Rates(100.0, clock, workers=4) for _ in range(4)]
    assert [passed(rates, "a", 1000) for rates in workers] == [50] * 4  # two seconds of all
    clock.now += 1
    assert sum(passed(rates, "a", 1000) for rates in workers) == 100


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60), st.floats(0.5, 40))
def test_no_more_than_the_rate_and_the_burst_ever_pass(pauses, rate):
    clock = Clock()
    rates = Rates(rate, clock)
    count = 0
    for pause in pauses:
        clock.now += pause
        count += passed(rates, "a", 20)
    assert count <= max(2 * rate, 10) + rate * sum(pauses) + 1e-6


def test_addresses_of_one_network_of_version_6_are_one_client():
    rates = Rates(50.0, Clock())
    assert passed(rates, "2001:db8:1:2::1", 1000) == 100
    assert passed(rates, "2001:db8:1:2:ffff::9", 10) == 0
    assert passed(rates, "2001:db8:1:3::1", 10) == 10
    assert passed(rates, "::ffff:10.0.0.1", 1000) == 100 and passed(rates, "10.0.0.1", 10) == 0


def test_the_memory_of_clients_is_bounded():
    rates = Rates(1.0, Clock())
    for i in range(30_000):
        rates.take(str(i))
    assert len(rates._buckets) <= 10_000


def test_uploads_share_a_budget_and_give_it_back():
    budget = Budget(100)
    with budget.hold() as first, budget.hold() as second:
        first(60)
        second(40)
        with pytest.raises(Refusal) as refused:
            first(1)
        assert refused.value.status == 503
    assert budget.held == 0
    with budget.hold() as take:
        take(100)
