"""A made-up day of three Kronos instances, as a table of requests.

The seed is fixed, so the day is the same on every run, and panels can be compared with what happened.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kronos_mixin.contract import Contract
from kronos_mixin.drill.measures import BATCH, SINGLE, UNMATCHED

Numbers = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

MINUTE, HOUR = 60, 3600

END = datetime.datetime(2026, 3, 12, 18, 0, tzinfo=datetime.UTC).timestamp()
"""The end of the day, in Unix seconds. Fixed, or the pictures would change with every run."""

TIME_LIMIT = 120.0
"""Seconds; the default of the service."""

CLIENTS = ("anonymous", "backtest", "desk-a", "desk-b")


@dataclass(frozen=True)
class Spell:
    """A period of the day, in seconds from its start."""

    begin: float
    end: float

    def holds(self, at: Numbers) -> npt.NDArray[np.bool_]:
        """Whether each of the times lies in it."""
        return (at >= self.begin) & (at < self.end)


def _clock(hour: int, minute: int, minutes: float) -> Spell:
    """A period from a time of the second calendar day on; the story starts at 18:00 of the first."""
    begin = (hour + 6) * HOUR + minute * MINUTE
    return Spell(begin, begin + minutes * MINUTE)


SLOW = _clock(9, 0, 40)
"""A neighbour uses up the CPU: the model takes many times longer, the queue fills, some requests time out."""

ERRORS = _clock(12, 30, 15)
"""The second instance keeps running out of memory, until it is killed and restarted."""

GREEDY = _clock(14, 0, 50)
"""The client `backtest` sends far more than its rate limit allows."""

BURST = _clock(17, 10, 12)
"""A burst of large batches fills the queue for a while."""

DAY = 24 * HOUR


@dataclass(frozen=True)
class Instance:
    """An address, and the processes that run there one after the other. `down`: when it could not be scraped."""

    name: str
    down: tuple[Spell, ...]
    device: str = "cpu"

    def up(self, at: Numbers) -> npt.NDArray[np.bool_]:
        """Whether it answered at each of the times."""
        up = np.ones(at.shape, dtype=bool)
        for spell in self.down:
            up &= ~spell.holds(at)
        return up

    def started(self, at: Numbers) -> Numbers:
        """When the process that ran at each of the times was started; the first one long before the day."""
        started = np.full(at.shape, -3.0 * DAY)
        for spell in self.down:
            started[at >= spell.end] = spell.end
        return started


# The last restart of each is a release, rolled out one by one.
INSTANCES = (
    Instance("10.0.0.1:8000", (_clock(16, 0, 2),)),
    Instance("10.0.0.2:8000", (Spell(ERRORS.end, ERRORS.end + 3 * MINUTE), _clock(16, 4, 2))),
    Instance("10.0.0.3:8000", (_clock(16, 8, 2),), device="cuda:0"),
)
RELEASE = _clock(16, 0, 0).begin


@dataclass(frozen=True)
class Requests:
    """One row per request. Codes are positions in the contract's label sets, in INSTANCES and in CLIENTS."""

    at: Numbers
    """When it ended, in seconds from the start of the day."""
    codes: Mapping[str, Codes]
    """instance, route, status, client, type, stage, cause."""
    values: Mapping[str, Numbers]
    """seconds, wait, inference (seconds), candles, horizon, series."""

    def where(self, chosen: npt.NDArray[np.bool_]) -> Requests:
        """The chosen rows."""
        return Requests(
            self.at[chosen],
            {name: codes[chosen] for name, codes in self.codes.items()},
            {name: values[chosen] for name, values in self.values.items()},
        )


def requests(contract: Contract, seed: int = 4) -> Requests:
    """All requests of the day, sorted by time."""
    random = np.random.default_rng(seed)
    routes, statuses = list(contract.label_values["route"]), list(contract.label_values["status"])

    at, route, client = _arrivals(random, routes)
    instance = _balance(random, at)
    status = _outcomes(random, at, route, client, instance, statuses, routes)
    seconds = _durations(random, at, route, status, instance, statuses, routes)

    def one_of(values: str, weights: Mapping[str, float]) -> Codes:
        names = list(contract.label_values[values])
        share = np.array([weights.get(name, 0.0) for name in names])
        return random.choice(len(names), size=len(at), p=share / share.sum())

    codes = {
        "instance": instance,
        "route": route,
        "status": status,
        "client": client,
        "type": np.where(
            ERRORS.holds(at),
            one_of("error_type", {"out_of_memory": 9, "inference": 1}),
            one_of("error_type", {"inference": 3, "invalid_output": 1, "internal": 2}),
        ),
        "stage": np.where(
            SLOW.holds(at),
            one_of("timeout_stage", {"queue": 3, "inference": 1}),
            one_of("timeout_stage", {"inference": 1}),
        ),
        "cause": one_of("cancellation_cause", {"client_disconnect": 1}),
    }
    return Requests(at, codes, seconds)


def _wave(at: Numbers) -> Numbers:
    """The daily cycle of traffic: 0 at four in the morning, 1 at four in the afternoon."""
    clock = (at / HOUR + 18) % 24
    smooth: Numbers = 0.5 - 0.5 * np.cos((clock - 4) / 24 * 2 * np.pi)
    return smooth


def _arrivals(random: np.random.Generator, routes: list[str]) -> tuple[Numbers, Codes, Codes]:
    """Times, routes and clients, sorted by time."""
    minutes = np.arange(0, DAY, MINUTE, dtype=float)
    # Route, requests per second, and the share of each client.
    paces = [
        (SINGLE, (0.15 + 1.2 * _wave(minutes)), (0.25, 0.0, 0.45, 0.3)),
        (BATCH, (0.04 + 0.25 * _wave(minutes)) * np.where(BURST.holds(minutes), 6, 1), (0.0, 0.1, 0.5, 0.4)),
        (UNMATCHED, np.full(minutes.shape, 0.01), (1.0, 0.0, 0.0, 0.0)),
        (SINGLE, np.where(GREEDY.holds(minutes), 2.2, 0.0), (0.0, 1.0, 0.0, 0.0)),
    ]
    times, kinds, callers = [], [], []
    for route, pace, clients in paces:
        counts = random.poisson(pace * MINUTE)
        times.append(np.repeat(minutes, counts) + random.uniform(0, MINUTE, counts.sum()))
        kinds.append(np.full(counts.sum(), routes.index(route)))
        callers.append(random.choice(len(CLIENTS), counts.sum(), p=clients))
    at = np.concatenate(times)
    order = np.argsort(at)
    return at[order], np.concatenate(kinds)[order], np.concatenate(callers)[order]


def _balance(random: np.random.Generator, at: Numbers) -> Codes:
    """For each request, an instance that is up."""
    weights = random.uniform(size=(len(INSTANCES), len(at)))
    for number, instance in enumerate(INSTANCES):
        weights[number][~instance.up(at)] = -1
    chosen: Codes = np.argmax(weights, axis=0)
    return chosen


def _outcomes(
    random: np.random.Generator,
    at: Numbers,
    route: Codes,
    client: Codes,
    instance: Codes,
    statuses: list[str],
    routes: list[str],
) -> Codes:
    """The status of each request. Where several apply, the last one counts."""
    status = np.full(at.shape, statuses.index("success"))

    def assign(name: str, share: float, chosen: npt.NDArray[np.bool_] | bool = True) -> None:
        status[(random.uniform(size=at.shape) < share) & chosen] = statuses.index(name)

    slow, burst = SLOW.holds(at), BURST.holds(at)
    assign("invalid", 0.015)
    assign("cancelled", 0.003)
    assign("unauthorized", 0.002)
    assign("too_large", 0.001, route == routes.index(BATCH))
    assign("error", 0.0003)
    assign("timeout", 0.0001)
    assign("cancelled", 0.04, slow)
    assign("timeout", 0.025, slow)
    assign("overloaded", 0.01, slow)
    assign("overloaded", 0.05, burst & (route == routes.index(BATCH)))
    assign("error", 0.4, ERRORS.holds(at) & (instance == 1))
    assign("unavailable", 0.5, _near_restart(at, instance))
    assign("rate_limited", 0.85, GREEDY.holds(at) & (client == CLIENTS.index("backtest")))
    status[route == routes.index(UNMATCHED)] = statuses.index("invalid")
    return status


def _near_restart(at: Numbers, instance: Codes) -> npt.NDArray[np.bool_]:
    """Which requests come in the last seconds before their instance goes down, when it refuses some of them."""
    near = np.zeros(at.shape, dtype=bool)
    for number, one in enumerate(INSTANCES):
        for spell in one.down:
            near |= (instance == number) & Spell(spell.begin - 20, spell.begin).holds(at)
    return near


def _durations(
    random: np.random.Generator,
    at: Numbers,
    route: Codes,
    status: Codes,
    instance: Codes,
    statuses: list[str],
    routes: list[str],
) -> dict[str, Numbers]:
    """The size of each request, and the duration of its parts in seconds."""
    count = len(at)
    batch = route == routes.index(BATCH)
    candles = np.where(batch, random.choice([128, 256, 400], count), random.choice([60, 100, 200, 400, 1000], count))
    horizon = np.where(batch, random.choice([10, 24], count), random.choice([5, 12, 24, 60], count))
    series = np.where(batch, random.choice([2, 4, 8, 16, 32], count), 1)

    neighbour = np.where(SLOW.holds(at), 14.0, 1.0) * np.where(BURST.holds(at), 2.0, 1.0)
    faster = np.where(np.array([one.device != "cpu" for one in INSTANCES])[instance], 0.5, 1.0)
    inference = (
        0.006 * horizon * (1 + candles / 800) * series**0.6 * neighbour * faster * random.lognormal(0, 0.35, count)
    )
    wait = random.exponential(0.02 + 0.15 * _wave(at), count) * neighbour * np.where(batch, 2.0, 1.0)
    seconds = wait + inference + 0.004

    # Stopped by the time limit, and cancelled by the caller.
    late, left = status == statuses.index("timeout"), status == statuses.index("cancelled")
    seconds = np.where(late, TIME_LIMIT, seconds)
    seconds = np.where(left, np.minimum(seconds, random.uniform(0.5, 40, count)), seconds)
    seconds = np.minimum(seconds, TIME_LIMIT)
    return {
        "seconds": seconds,
        "wait": np.minimum(wait, seconds),
        "inference": np.minimum(inference, seconds),
        "candles": candles.astype(float),
        "horizon": horizon.astype(float),
        "series": series.astype(float),
    }
