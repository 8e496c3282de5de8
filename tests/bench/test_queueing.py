"""The simulation behind docs/scaling.md, held against what is known of queues."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.queueing import SECONDS, SPREAD, Station, busiest_hour, hour, needed, waits

times = st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 10)), min_size=1, max_size=30)


def test_a_single_server_waits_as_pollaczek_and_khinchine_say() -> None:
    station, load = Station("one", 0.5), 0.7
    found = np.mean([hour(station, load * SECONDS / 0.5, 1, seed).mean() for seed in range(30)])
    expected = load * 0.5 * (1 + SPREAD**2) / (2 * (1 - load))
    assert found == pytest.approx(expected, rel=0.1)


@given(times)
def test_more_servers_never_make_anybody_wait_longer(cases: list[tuple[float, float]]) -> None:
    arrivals, services = (np.array(column) for column in zip(*sorted(cases), strict=True))
    before = waits(arrivals, services, 1)
    for servers in range(2, len(cases) + 1):
        after = waits(arrivals, services, servers)
        assert (after <= before + 1e-9).all()
        before = after
    assert (before == 0).all()  # as many servers as cases


@pytest.mark.parametrize("cases_a_day", [1_000, 1_000_000])
def test_what_is_said_to_be_needed_is_enough_and_one_less_is_not(cases_a_day: float) -> None:
    station, peak = Station("web", 0.2), busiest_hour(cases_a_day)
    cores = needed(station, peak)
    assert np.quantile(hour(station, peak, cores), 0.99) < 0.1
    assert cores == 1 or np.quantile(hour(station, peak, cores - 1), 0.99) >= 0.1
