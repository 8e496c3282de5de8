"""How many cores a country needs: the platform's queue simulated from measured times.

    python -m bench.queueing [--cases-a-day 1000000] [--receive-ms 190] [--read-ms 9.1]

A day's cases arrive as clinics work (two peaks, little at night). Each passes two stations, web and inference, with so
many servers as there are cores; each core serves one at a time in the order of arrival. Service times are drawn from a
gamma distribution with the measured mean. For each station the smallest number of cores is found with which 99 cases of
100 wait less than a tenth of a second in the busiest hour, and what the loss of a tenth of the cores does to that. The
simulation of an hour is exact for these assumptions; the figures fed to it are one machine's.
"""

import argparse
import heapq
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Share of a day's cases in each hour, UTC of one time zone: practices from 8 to 18, a lull at noon. An assumption.
DAY: Final = np.array(
    [1, 1, 1, 1, 1, 2, 5, 25, 75, 95, 100, 90, 55, 70, 95, 95, 85, 60, 30, 15, 10, 6, 3, 2], dtype=float
)
#: Of service times: standard deviation over mean, as measured between rounds and between sizes of photographs.
SPREAD: Final = 0.5
PATIENCE_SECONDS: Final = 0.1
SECONDS: Final = 3600.0


@dataclass(frozen=True)
class Station:
    """A step of a case that takes one core for so long on average."""

    name: str
    mean_seconds: float


def busiest_hour(cases_a_day: float) -> float:
    """Arrivals in the busiest hour."""
    return float(cases_a_day * DAY.max() / DAY.sum())


def waits(arrivals: NDArray[np.float64], services: NDArray[np.float64], servers: int) -> NDArray[np.float64]:
    """Seconds that each case waits before one of `servers` takes it, first come first served.

    `arrivals` and `services`: float64 [n], seconds, arrivals ascending.
    """
    free = [0.0] * servers
    waited = np.empty(len(arrivals))
    for number, (arrival, service) in enumerate(zip(arrivals.tolist(), services.tolist(), strict=True)):
        begins = max(arrival, heapq.heappop(free))
        waited[number] = begins - arrival
        heapq.heappush(free, begins + service)
    return waited


def hour(station: Station, arrivals_an_hour: float, servers: int, seed: int = 1) -> NDArray[np.float64]:
    """Waits in one simulated hour of Poisson arrivals."""
    draw = np.random.default_rng(seed)
    number = draw.poisson(arrivals_an_hour)
    arrivals = np.sort(draw.uniform(0, SECONDS, number))
    shape = 1 / SPREAD**2
    return waits(arrivals, draw.gamma(shape, station.mean_seconds / shape, number), servers)


def needed(station: Station, arrivals_an_hour: float) -> int:
    """The smallest number of cores with which 99 of 100 wait less than PATIENCE_SECONDS."""
    servers = max(1, int(arrivals_an_hour * station.mean_seconds / SECONDS))
    while np.quantile(hour(station, arrivals_an_hour, servers), 0.99) >= PATIENCE_SECONDS:
        servers += 1
    return servers


def core_hours(station: Station, cases_a_day: float) -> float:
    """Of a day when each hour runs only what it needs (scaled by the queue's age), and never under 2 cores."""
    return float(sum(max(2, needed(station, cases_a_day * share)) for share in DAY / DAY.sum()))


def row(station: Station, cases_a_day: float) -> str:
    """One line of the table."""
    peak = busiest_hour(cases_a_day)
    cores = needed(station, peak)
    busy = peak * station.mean_seconds / SECONDS / cores
    fewer = max(1, cores - max(1, cores // 10))
    lost = np.quantile(hour(station, peak, fewer), 0.99)
    return (
        f"| {cases_a_day:,.0f} | {station.name} | {peak / SECONDS:,.1f} | {cores} | {busy:.2f} | "
        f"{np.quantile(hour(station, peak, cores), 0.99):.2f} s | {fewer}: {lost:,.2f} s | "
        f"{core_hours(station, cases_a_day):,.0f} |"
    )


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases-a-day", type=float, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--receive-ms", type=float, default=196.0, help="web: one 12-megapixel case, on one core")
    parser.add_argument("--read-ms", type=float, default=9.1, help="worker: one case, on one core")
    options = parser.parse_args()
    stations = (Station("web", options.receive_ms / 1000), Station("inference", options.read_ms / 1000))
    print("| cases a day | station | a second, busiest hour | cores | busy | 99 of 100 wait less than | with a tenth "
          "fewer cores | core-hours a day |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    for cases_a_day in options.cases_a_day:
        for station in stations:
            print(row(station, cases_a_day))


if __name__ == "__main__":
    main()
