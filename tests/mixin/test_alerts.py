"""Every alert fires when it should, stays silent when it should, and resolves, on every version of Prometheus.

Each check names ALL alerts that fire at that minute, so a misspelt name can't pass; burn alerts have scenarios of
their own. A scenario that must stay silent has a counterpart that differs in one number and fires.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml
from simulate import BATCH, HOUR, MINUTE, SINGLE, Instance, Request, every, input_series

from kronos_mixin.compile import rule_files
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from proof.servers import promtool
from proof.servers.binaries import Tools

Firing = dict[str, int]


@dataclass
class Scenario:
    """What the instances do, and which alerts fire (name to number) at which minutes."""

    name: str
    instances: list[Instance]
    firing: dict[float, Firing]
    # Routes (or other labels, "label=value") that fire, at which minutes.
    where: dict[float, list[str]] = field(default_factory=dict)
    # Firing budget burns at which minutes, as "alert long-window".
    burning: dict[float, list[str]] = field(default_factory=dict)
    step: int = 15

    @property
    def end(self) -> float:
        """Seconds until the last check."""
        return max([*self.firing, *self.burning]) * MINUTE


def one(*requests: list[Request], **knobs: object) -> list[Instance]:
    return [Instance(requests=[r for part in requests for r in part], **knobs)]  # type: ignore[arg-type]


def many(count: int, *different: Instance, **knobs: object) -> list[Instance]:
    """Healthy instances i0, i1, ..., except those given."""
    others = {instance.name: instance for instance in different}
    return [others.get(f"i{n}") or Instance(f"i{n}", every(10), **knobs) for n in range(count)]  # type: ignore[arg-type]


def silent(*minutes: float) -> dict[float, Firing]:
    return {minute: {} for minute in minutes}


def always(firing: Firing, *minutes: float) -> dict[float, Firing]:
    return dict.fromkeys(minutes, firing)


OUTAGE = 30 * MINUTE
ERRORS = {"KronosHighErrorRate": 1}
SLOW = {"KronosHighLatency": 1}
MODEL = {"KronosSlowInference": 1}
TIMEOUTS = {"KronosHighTimeoutRate": 1}
DOWN = {"KronosServiceDown": 1}
MISSING = {"KronosTargetMissing": 1}
NOTHING = {"KronosNothingSucceeds": 1}
HALF_HOURS = (20, 50, 80, 110)

AT_REST = [
    Scenario("nothing ever comes in", one(), silent(1, 5, 30, 119)),
    Scenario("all is well", one(every(1)), silent(30, 119)),
    Scenario("one request in five minutes", one(every(300)), silent(30, 60, 119)),
]

ERROR_RATE = [
    *(
        Scenario(
            f"every request fails, one in {spacing} s",
            one(every(spacing, stop=OUTAGE), every(spacing, start=OUTAGE + 1, status="error")),
            # Seventeen minutes: three requests fill the guard, and `for` begins. One gap in the ratio makes it more.
            {29: {}, **always(ERRORS, *range(47, 120, 4))},
        )
        for spacing in (300, 305, 310)
    ),
    Scenario(
        "one odd request in an hour",
        one(every(300), every(HOUR, start=600, status="error")),
        silent(*range(5, 120, 5)),
    ),
    Scenario(
        "two odd requests", one(every(300), every(60, start=600, stop=660, status="error")), silent(*range(5, 60, 5))
    ),
    Scenario(
        "four in a row", one(every(300), every(300, start=610, stop=1510, status="error")), {24: {}, 29: ERRORS}
    ),
    Scenario("0.9 %", one(every(0.2), every(22, status="error")), silent(*HALF_HOURS)),
    Scenario("1.2 %", one(every(0.2), every(17, status="error")), always(ERRORS, *HALF_HOURS)),
    Scenario("the queue is full", one(every(1), every(20, status="overloaded")), {20: ERRORS}),
    Scenario(
        "callers' faults", one(every(10), every(1, status="invalid"), every(1, status="too_large")), silent(20, 60)
    ),
    Scenario("only callers' faults", one(every(1, status="unauthorized")), silent(20, 60)),
    Scenario(
        "the bad route of two is the quiet one",
        one(every(0.5), every(60, route=BATCH, status="error")),
        {20: ERRORS},
        where={20: [f"route={BATCH}"]},
    ),
    Scenario("one bad instance of ten", many(10, Instance("i3", every(10, status="error"))), {20: ERRORS}),
    Scenario(
        "it ends, the alert resolves",
        one(every(10), every(10, start=600, stop=1800, status="error")),
        {9: {}, 25: ERRORS, 30: ERRORS, 45: {}},
    ),
    Scenario(
        "it ends, and the traffic with it",
        one(every(1, stop=HOUR), every(4, start=OUTAGE, stop=HOUR, status="error")),
        {29: {}, 59: ERRORS, 76: {}, 90: {}},
    ),
    Scenario(
        "it ends because the job is taken away",
        one(every(1), every(4, start=OUTAGE, status="error"), stop=HOUR),
        {59: ERRORS, 76: MISSING, 90: MISSING},
    ),
    Scenario(
        "all of them, one in 25 minutes, are one page",
        one(every(1500, start=60, stop=4 * HOUR, status="error")),
        always(ERRORS, *range(130, 240, 7)),
        step=30,
    ),
    Scenario(
        "three minutes of overload every quarter of an hour are one page",
        one(
            every(1),
            *(every(1, start=start, stop=start + 180, status="overloaded") for start in range(600, 2 * HOUR, 900)),
        ),
        always(ERRORS, *range(17, 120, 2)),
    ),
    Scenario(
        "an instance is born into the outage",
        [*one(every(60, stop=600), stop=600), Instance("b", every(60, start=615, status="error"), start=600)],
        {9: {}, 30: ERRORS},
    ),
    Scenario(
        "two clusters, one of them bad",
        [
            Instance("a", every(10), labels={"cluster": "x"}),
            Instance("a", every(10, status="error"), labels={"cluster": "y"}),
        ],
        {20: ERRORS},
        where={20: ["cluster=y"]},
    ),
]

BEFORE = every(10, stop=OUTAGE)
GIVING_UP = {"start": OUTAGE, "status": "cancelled", "model": 0.1}
SUCCESS = [
    Scenario("callers give up after 4 s", one(BEFORE, every(5, seconds=4, **GIVING_UP)), {29: {}, 50: NOTHING}),
    Scenario(
        "callers of the other route give up after 10 s",
        one(every(10), every(10, route=BATCH, stop=OUTAGE), every(20, route=BATCH, seconds=10, **GIVING_UP)),
        {29: {}, 50: NOTHING},
        where={50: [f"route={BATCH}"]},
    ),
    Scenario(
        "callers give up after 30 s",
        one(BEFORE, every(5, seconds=30, **GIVING_UP)),
        {29: {}, 50: NOTHING | SLOW, 90: NOTHING | SLOW},
    ),
    *(
        Scenario(
            f"all requests are {status}", one(BEFORE, every(5, start=OUTAGE, status=status)), {29: {}, 50: NOTHING}
        )
        for status in ("invalid", "unauthorized", "rate_limited")
    ),
    Scenario("all of them fail", one(BEFORE, every(5, start=OUTAGE, status="error")), {50: ERRORS}),
    Scenario(
        "one of a hundred has success",
        one(BEFORE, every(5, start=OUTAGE, status="invalid"), every(500, start=OUTAGE + 60)),
        silent(*range(29, 80, 3)),
    ),
    Scenario("five in ten minutes", one(BEFORE, every(120, start=OUTAGE, status="invalid")), {29: {}, 60: NOTHING}),
    Scenario("four in ten minutes", one(BEFORE, every(150, start=OUTAGE, status="invalid")), silent(29, 60)),
    Scenario(
        "it is back",
        one(BEFORE, every(5, start=OUTAGE, stop=HOUR, status="invalid"), every(10, start=HOUR)),
        {59: NOTHING, 68: {}},
    ),
]

LATENCY = [
    Scenario("4 % are slow", one(every(1), every(24, seconds=6, model=0.1)), silent(*HALF_HOURS)),
    Scenario("6 % are slow", one(every(1), every(16, seconds=6, model=0.1)), always(SLOW, *HALF_HOURS)),
    Scenario("exactly on the objective", one(every(1, seconds=5)), {60: {}}),
    Scenario("a batch may take longer", one(every(1, route=BATCH, seconds=20)), {60: {}}),
    Scenario(
        "but not this long",
        one(every(1, route=BATCH, seconds=40, model=0.1)),
        {60: SLOW},
        where={60: [f"route={BATCH}"]},
    ),
    Scenario("one odd request", one(every(300), every(HOUR, start=600, seconds=50)), silent(*range(5, 120, 5))),
    Scenario("all of them, one in 305 s", one(every(305, seconds=50, model=0.05)), always(SLOW, 60, 119)),
    Scenario(
        "a hang, and every caller gives up", one(every(60, status="cancelled", seconds=20, model=0.1)), {60: SLOW}
    ),
    Scenario(
        "callers give up before the objective", one(every(60), every(60, status="cancelled", seconds=2)), {60: {}}
    ),
    Scenario("slow errors are errors", one(every(60), every(6, status="error", seconds=20)), {60: ERRORS}),
    Scenario("stopped by a shutdown", one(every(60), every(6, status="unavailable", seconds=20)), {60: {}}),
    Scenario(
        "it ends, the alert resolves",
        one(every(10), every(10, start=600, stop=1800, seconds=6, model=0.1)),
        {9: {}, 29: SLOW, 45: {}},
    ),
    # The model itself, or the queue in front of it?
    Scenario("6 % are slow in the model", one(every(1), every(16, seconds=6)), {60: MODEL | SLOW}),
    Scenario("4 % are slow in the model", one(every(1), every(24, seconds=6)), {60: {}}),
    Scenario("one odd inference", one(every(300), every(HOUR, start=600, seconds=6)), silent(*range(5, 120, 15))),
    Scenario(
        "slow in the model, but the queue is long",
        one(every(1), every(16, seconds=6), gauges={"kronos_queue_depth": 30}),
        {60: SLOW},
    ),
]

TIME_LIMIT = [
    Scenario("0.4 %", one(every(1), every(250, status="timeout", seconds=120)), silent(*HALF_HOURS)),
    Scenario("0.7 %", one(every(1), every(140, status="timeout", seconds=120)), always(TIMEOUTS, *HALF_HOURS)),
    Scenario(
        "one odd request",
        one(every(300), every(HOUR, start=600, status="timeout", seconds=120)),
        silent(*range(5, 120, 5)),
    ),
    Scenario(
        "everything, one in 310 s",
        one(every(310, status="timeout", seconds=120)),
        {75: TIMEOUTS | ERRORS | SLOW | MODEL},
    ),
    Scenario(
        "it ends, the alert resolves",
        one(every(1), every(100, start=600, stop=2400, status="timeout", seconds=120, model=0.01)),
        {9: {}, 35: TIMEOUTS, 55: {}},
    ),
]

AVAILABILITY = [
    Scenario("the only instance is down", one(every(10), down=((600, 3000),)), {9: {}, 16: DOWN, 60: {}}),
    Scenario("a restart of the only instance", one(every(10), down=((600, 690),)), silent(*range(9, 20))),
    Scenario(
        "one of ten is down",
        many(10, Instance("i3", every(10), down=((600, 3000),))),
        {9: {}, 30: {"KronosTargetDown": 1}, 60: {}},
        where={30: ["instance=i3"]},
    ),
    Scenario(
        "six of ten are down",
        many(10, *(Instance(f"i{n}", every(10), down=((600, 3000),)) for n in range(6))),
        {9: {}, 30: DOWN, 60: {}},
    ),
    Scenario(
        "a rolling restart",
        [Instance(f"i{n}", every(10), down=((600 + 90 * n, 690 + 90 * n),)) for n in range(3)],
        silent(*range(5, 30)),
    ),
    Scenario(
        "a rolling restart with new addresses",
        [
            instance
            for n in range(3)
            for instance in (
                Instance(f"old{n}", every(10), stop=600 + 90 * n),
                Instance(
                    f"new{n}",
                    every(10),
                    start=570 + 90 * n,
                    gauges={"kronos_model_ready": lambda t, n=n: t > 660 + 90 * n},
                ),
            )
        ],
        silent(*range(5, 40)),
    ),
    Scenario(
        "the same service in two namespaces, one down",
        [
            Instance("a", every(10), labels={"namespace": "prod"}, down=((600, 3000),)),
            Instance("a", every(10), labels={"namespace": "test"}),
        ],
        {20: DOWN},
        where={20: ["namespace=prod"]},
    ),
    Scenario("gone from discovery", one(every(10), stop=600), {9: {}, 18: {}, 22: {"KronosTargetMissing": 1}}),
    Scenario(
        "there again",
        [*one(every(10), stop=600), Instance("b", start=2400)],
        {30: {"KronosTargetMissing": 1}, 45: {}},
    ),
    Scenario(
        "one of two clusters is gone from discovery",
        [
            Instance("a", every(10), labels={"cluster": "x"}, stop=600),
            Instance("a", every(10), labels={"cluster": "y"}),
        ],
        {18: {}, 22: MISSING, 100: MISSING},
        where={100: ["cluster=x"]},
        step=60,
    ),
    Scenario("never up at all", one(down=((0, 2 * HOUR),)), {4: DOWN, 60: DOWN}),
    Scenario(
        "from two to six instances that take four minutes to start",
        many(6, *(Instance(f"i{n}", every(10), start=1800, down=((1800, 2055),)) for n in range(2, 6))),
        silent(*range(29, 45)),
    ),
    Scenario(
        "one of the new instances never starts",
        many(6, *(Instance(f"i{n}", start=600, down=((600, 2 * HOUR),)) for n in range(5, 6))),
        {20: {}, 24: {}, 34: {"KronosTargetDown": 1}},
    ),
    Scenario(
        "from four instances to one",
        many(4, *(Instance(f"i{n}", every(10), down=((1725, 1800),), stop=1800) for n in range(1, 4))),
        silent(*range(28, 45)),
    ),
    Scenario(
        "the one that stays is the one that is down",
        many(
            4,
            Instance("i0", every(10), down=((1700, 3000),)),
            *(Instance(f"i{n}", every(10), stop=1800) for n in range(1, 4)),
        ),
        {28: {}, 40: DOWN, 60: {}},
    ),
    Scenario(
        "three of five are down for hours",
        many(5, *(Instance(f"i{n}", every(10), down=((600, 4 * HOUR),)) for n in range(3))),
        always(DOWN, 60, 120),
        step=60,
    ),
    Scenario(
        "every second scrape of one of three fails",
        many(3, Instance("i1", every(10), missed=lambda t: t % 30 < 15)),
        always({"KronosTargetDown": 1}, 20, 50),
    ),
    Scenario(
        "every third scrape fails",
        many(3, Instance("i1", every(10), missed=lambda t: t % 45 < 15)),
        silent(20, 50),
    ),
    Scenario(
        "the only instance is away for half of every six minutes",
        one(every(10), missed=lambda t: t > 600 and t % 360 < 210),
        always(DOWN, *range(25, 60)),
    ),
    # The model.
    Scenario("a long load", one(gauges={"kronos_model_ready": lambda t: t > 500}), silent(*range(1, 30))),
    Scenario(
        "a long load under load",
        one(
            every(1, status="unavailable", stop=500),
            every(1, start=501),
            gauges={"kronos_model_ready": lambda t: t > 500},
        ),
        silent(*range(1, 30)),
    ),
    Scenario(
        "a load that never ends",
        one(gauges={"kronos_model_ready": lambda t: t > 3000}),
        {9: {}, 12: {"KronosModelNotReady": 1}, 55: {}},
    ),
    Scenario(
        "one instance of three does not get ready",
        many(3, Instance("i1", gauges={"kronos_model_ready": 0})),
        {9: {}, 20: {"KronosInstanceNotReady": 1}},
        where={20: ["instance=i1"]},
    ),
    Scenario(
        "the model of one instance of three is stuck",
        many(
            3,
            Instance(
                "i1",
                gauges={
                    "kronos_model_call_seconds": lambda t: max(0, t - 600) if t < 2400 else 0,
                    "kronos_model_ready": lambda t: 0 if 660 < t < 2400 else 1,
                },
            ),
        ),
        {11: {}, 15: {"KronosModelStuck": 1}, 35: {"KronosModelStuck": 1, "KronosInstanceNotReady": 1}, 45: {}},
        where={15: ["instance=i1"]},
    ),
    Scenario("calls of a slow model", one(gauges={"kronos_model_call_seconds": 50}), silent(5, 20, 60)),
    Scenario(
        "it is draining",
        many(3, Instance("i1", gauges={"kronos_model_ready": 0, "kronos_draining": 1})),
        silent(20, 60),
    ),
]

RESOURCES = [
    Scenario("89 % of the memory", one(gauges={"process_resident_memory_bytes": 890}), {30: {}}),
    Scenario(
        "91 % of the memory",
        one(gauges={"process_resident_memory_bytes": 910}),
        {2: {}, 30: {"KronosHighMemoryUsage": 1}},
    ),
    Scenario(
        "no limit", one(gauges={"process_resident_memory_bytes": 910, "kronos_memory_limit_bytes": 0}), {30: {}}
    ),
    Scenario(
        "memory is freed, the alert resolves",
        one(gauges={"process_resident_memory_bytes": lambda t: 910 if t < 2400 else 500}),
        {30: {"KronosHighMemoryUsage": 1}, 50: {}},
    ),
    Scenario("the queue is 79 % full", one(gauges={"kronos_queue_depth": 79}), {30: {}}),
    Scenario("the queue is 81 % full", one(gauges={"kronos_queue_depth": 81}), {30: {"KronosQueueSaturated": 1}}),
    Scenario("no queue", one(gauges={"kronos_queue_depth": 81, "kronos_queue_capacity": 0}), {30: {}}),
    Scenario(
        "bursts that drain again",
        one(gauges={"kronos_queue_depth": lambda t: 100 if t % 300 < 120 else 0}),
        silent(*range(10, 60, 5)),
    ),
    Scenario("0.9 s of lag", one(gauges={"kronos_event_loop_lag_seconds": 0.9}), {30: {}}),
    Scenario(
        "1.1 s of lag", one(gauges={"kronos_event_loop_lag_seconds": 1.1}), {3: {}, 30: {"KronosEventLoopBlocked": 1}}
    ),
    Scenario(
        "one hiccup",
        one(gauges={"kronos_event_loop_lag_seconds": lambda t: 3 if 600 <= t < 660 else 0}),
        silent(10, 11, 12, 20),
    ),
    Scenario(
        "a single log line is lost",
        one(every(10), events={"kronos_log_lines_lost_total": range(1800, 1801)}),
        {29: {}, 31: {"KronosLogLinesLost": 1}, 70: {}},
    ),
    Scenario("none is", one(every(10), events={"kronos_log_lines_lost_total": ()}), {30: {}}),
    Scenario(
        "one of three starts three times in an hour",
        many(3, Instance("i1", every(10), down=((600, 660), (1200, 1260), (1800, 1860)))),
        {30: {}, 33: {"KronosRestarting": 1}, 115: {"KronosRestarting": 1}, 170: {}},
    ),
    Scenario(
        "one of three starts twice",
        many(3, Instance("i1", every(10), down=((600, 660), (1200, 1260)))),
        silent(20, 30, 60),
    ),
    Scenario(
        "two of three start three times",
        many(3, *(Instance(f"i{n}", every(10), down=((600, 660), (1200, 1260), (1800, 1860))) for n in range(2))),
        {33: {"KronosRestarting": 2, "KronosRestartingEverywhere": 1}, 115: {"KronosRestarting": 2}},
    ),
    Scenario(
        "killed for its memory every half hour",
        one(
            every(10),
            down=tuple((start, start + 30) for start in range(1800, 4 * HOUR, 1800)),
            gauges={"process_resident_memory_bytes": lambda t: 500 + 500 * (t % 1800) / 1800},
        ),
        {25: {}, 29: {"KronosHighMemoryUsage": 1}, 110: {"KronosRestarting": 1}},
    ),
    Scenario(
        "89 % of the GPU's memory",
        one(gauges={"kronos_device_memory_used_bytes": 890, "kronos_device_memory_limit_bytes": 1000}),
        {30: {}},
    ),
    Scenario(
        "91 % of the GPU's memory",
        one(gauges={"kronos_device_memory_used_bytes": 910, "kronos_device_memory_limit_bytes": 1000}),
        {10: {}, 30: {"KronosHighGpuMemoryUsage": 1}},
    ),
]

CALLERS = [
    Scenario(
        "a client that does not back off",
        one(every(10), every(0.8, status="rate_limited", client="greedy", stop=2400)),
        {30: {"KronosExcessiveRateLimiting": 1}, 60: {}},
        where={30: ["client=greedy"]},
    ),
    Scenario("one that does", one(every(10), every(1.3, status="rate_limited", client="greedy")), {30: {}}),
]

DURATIONS, INFERENCES = "kronos_request_duration_seconds", "kronos_model_inference_seconds"
BLIND = {"KronosHistogramsMissing": 1}

MONITORING = [
    *(
        Scenario(
            f"the buckets of {histogram} do not arrive any more",
            one(every(100), lost={histogram: 600}),
            {24: {}, **always(BLIND, 32, 50, 80)},
            where={32: [f"histogram={histogram}"]},
        )
        for histogram in (DURATIONS, INFERENCES)
    ),
    Scenario(
        "no buckets, but no traffic either",
        one(every(100, stop=300), lost={DURATIONS: 1800, INFERENCES: 1800}),
        silent(*range(10, 80, 2)),
    ),
    *(
        Scenario(
            f"the target has a label {label}",
            many(3, Instance("i1", every(10), gauges={"kronos_concurrent_requests": 1}, taken={label: "x"})),
            {14: {}, 30: {"KronosLabelsTaken": 1}},
            where={30: ["instance=i1"]},
        )
        for label in ("route", "version")
    ),
    Scenario("the target has labels of other names", many(3, labels={"zone": "x", "path": "y"}), silent(30)),
    Scenario("an instance with traffic leaves", one(every(100), stop=1800), {29: {}, 35: {}, 39: {}}),
    Scenario(
        "another program on the port",
        one(foreign=True),
        {9: {}, 20: {"KronosMetricsMissing": 1, "KronosRulesMissing": 1}},
    ),
    Scenario(
        "another program on one of the ports",
        many(3, Instance("i1", foreign=True)),
        {20: {"KronosMetricsMissing": 1}},
        where={20: ["instance=i1"]},
    ),
    Scenario(
        "two versions for ever", many(3, Instance("i1", version="2.0.0")), {50: {}, 65: {"KronosVersionSkew": 1}}
    ),
    Scenario(
        "two fine-tunings of a tokenizer in folders of one name",
        many(3, Instance("i1", tokenizer_revision="77aa")),
        {50: {}, 65: {"KronosVersionSkew": 1}},
    ),
    Scenario(
        "a rollout", many(3, Instance("i1", version="2.0.0", stop=1800), Instance("i2", stop=1800)), silent(20, 65)
    ),
]

# Error budgets. The guard counts recorded points, so that the pace of scrapes may be slower here.
BOTH_PAGES = ["KronosErrorBudgetBurn 1h", "KronosErrorBudgetBurn 6h"]
BUDGETS = [
    Scenario("nothing fails", one(every(10)), {}, burning={60: [], 119: []}),
    Scenario(
        "an outage at one request in 305 s", one(every(305, status="error")), {}, burning={10: [], 45: BOTH_PAGES}
    ),
    Scenario(
        "one odd error in a fresh service",
        one(every(300), every(HOUR, start=100, status="error")),
        {},
        burning={m: [] for m in range(5, 60, 5)},
    ),
    # 14.4 times 0.5 % is 7.2 %, 6 times is 3 %.
    Scenario(
        "6.5 % fail", one(every(1), every(14.3, status="error")), {}, burning={40: ["KronosErrorBudgetBurn 6h"]}
    ),
    Scenario(
        "8 % fail",
        one(every(1), every(11.4, status="error")),
        {},
        burning={15: ["KronosErrorBudgetBurn 1h"], 40: BOTH_PAGES},
    ),
    Scenario(
        "a shutdown that breaks requests counts",
        one(every(1), every(11.4, status="unavailable")),
        {},
        burning={40: BOTH_PAGES},
    ),
    Scenario(
        "it is over: pages resolve before the hour has passed",
        one(every(1), every(5, stop=1800, status="error")),
        {},
        burning={29: BOTH_PAGES, 50: ["KronosErrorBudgetBurn 6h"], 75: ["KronosErrorBudgetBurn 1d"]},
    ),
    Scenario(
        "2 % fail: tickets",
        one(every(1, stop=5 * HOUR), every(50, status="error", stop=5 * HOUR)),
        {},
        burning={
            50: [],
            100: ["KronosErrorBudgetBurn 1d"],
            240: ["KronosErrorBudgetBurn 1d", "KronosErrorBudgetBurn 3d"],
        },
        step=60,
    ),
    Scenario(
        "0.4 % fail: within the objective",
        one(every(1, stop=5 * HOUR), every(250, status="error", stop=5 * HOUR)),
        {},
        burning={240: []},
        step=60,
    ),
    *(
        Scenario(
            f"eight minutes of {status} after six good hours",
            one(
                every(4, stop=6 * HOUR),
                every(4, start=6 * HOUR, stop=6 * HOUR + 480, status=status),
                every(4, start=6 * HOUR + 480, stop=6.5 * HOUR),
                gauges={"kronos_model_ready": lambda t, ready=ready: ready or not 6 * HOUR <= t < 6 * HOUR + 480},
            ),
            {},
            burning=dict.fromkeys(range(370, 374), burns),
            step=60,
        )
        # A load of the model is nothing to wake someone for.
        for status, ready, burns in (("error", True, ["KronosErrorBudgetBurn 1h"]), ("unavailable", False, []))
    ),
    Scenario(
        "a load under load at birth",
        one(
            every(1, status="unavailable", stop=500),
            every(1, start=501),
            gauges={"kronos_model_ready": lambda t: t > 500},
        ),
        {},
        burning={m: [] for m in range(2, 60)},
    ),
    Scenario(
        "loads of two minutes, three an hour",
        one(
            every(4, stop=4 * HOUR),
            *(every(1, start=start, stop=start + 120, status="unavailable") for start in range(0, 4 * HOUR, 1200)),
            gauges={"kronos_model_ready": lambda t: t % 1200 >= 120},
        ),
        {},
        burning={140: ["KronosErrorBudgetBurn 6h", "KronosErrorBudgetBurn 1d"]},
        step=60,
    ),
    Scenario(
        "the traffic ends during the burn",
        one(every(1, stop=HOUR), every(11.4, stop=HOUR, status="error")),
        {},
        burning={59: BOTH_PAGES, 76: ["KronosErrorBudgetBurn 1d"]},
    ),
    # Latency: 14.4 times 5 % is 72 %, 6 times is 30 %.
    Scenario(
        "80 % are slow",
        one(every(5), every(1.2, seconds=6)),
        {},
        burning={40: ["KronosLatencyBudgetBurn 1h", "KronosLatencyBudgetBurn 6h"]},
    ),
    Scenario("40 % are slow", one(every(5), every(7, seconds=6)), {}, burning={40: ["KronosLatencyBudgetBurn 6h"]}),
    Scenario("25 % are slow", one(every(5), every(15, seconds=6)), {}, burning={40: []}),
]

GROUPS = {
    "rest": AT_REST,
    "errors": ERROR_RATE,
    "success": SUCCESS,
    "latency": LATENCY,
    "time limit": TIME_LIMIT,
    "availability": AVAILABILITY,
    "resources": RESOURCES,
    "callers": CALLERS,
    "monitoring": MONITORING,
    "budgets": BUDGETS,
}
SCENARIOS = [replace(s, name=f"{group}: {s.name}") for group, scenarios in GROUPS.items() for s in scenarios]


def samples(counts: dict[str, int]) -> list[dict[str, object]]:
    return [{"labels": "{" + labels + "}", "value": count} for labels, count in counts.items()]


def checks(scenario: Scenario, number: int) -> list[dict[str, object]]:
    """The scenario's checks as promtool's `promql_expr_test`."""
    firing, burning = (
        f'ALERTS{{scenario="{number}", alertstate="firing", alertname!~".*Burn"}}',
        f'ALERTS{{scenario="{number}", alertstate="firing", alertname=~".*Burn"}}',
    )
    found = [
        (minute, f"count by (alertname) ({firing})", {f'alertname="{name}"': n for name, n in expected.items()})
        for minute, expected in scenario.firing.items()
    ]
    for minute, places in scenario.where.items():
        label = places[0].partition("=")[0]
        values = [place.partition("=")[2] for place in places]
        found.append((minute, f"count by ({label}) ({firing})", {f'{label}="{value}"': 1 for value in values}))
    for minute, burns in scenario.burning.items():
        pairs = [burn.split() for burn in burns]
        expected = {f'alertname="{name}", long="{long}"': 1 for name, long in pairs}
        found.append((minute, f"count by (alertname, long) ({burning})", expected))
    return [
        {"expr": expr, "eval_time": f"{minute:g}m", "exp_samples": samples(expected)}
        for minute, expr, expected in found
    ]


# Scenarios in one promtool test, each an installation of its own. This halves the time.
TOGETHER = 8
# promtool refuses to read more than 10,000 samples at once: of raw series in 2.42, of recorded ones in all versions.
MOST_INSTANCES = 20
MOST_SECONDS = 12 * HOUR


def batches(scenarios: list[Scenario]) -> list[list[Scenario]]:
    """Scenarios of one scrape interval and about the same length share a test."""
    found: list[list[Scenario]] = []
    for scenario in sorted(scenarios, key=lambda s: (s.step, s.end)):
        last = found[-1] if found else []
        instances = sum(len(one.instances) for one in [*last, scenario])
        full = len(last) == TOGETHER or instances > MOST_INSTANCES or (len(last) + 1) * scenario.end > MOST_SECONDS
        if not last or last[0].step != scenario.step or full:
            found.append([])
        found[-1].append(scenario)
    return found


def promtool_test(batch: list[Scenario], rule_files: list[Path]) -> str:
    step, end = batch[0].step, max(scenario.end for scenario in batch)
    instances = [
        replace(instance, labels={**instance.labels, "scenario": str(number)})
        for number, scenario in enumerate(batch)
        for instance in scenario.instances
    ]
    test = {
        "interval": f"{step}s",
        "input_series": input_series(instances, end, step),
        "promql_expr_test": [check for number, scenario in enumerate(batch) for check in checks(scenario, number)],
    }
    file = {"rule_files": [str(path) for path in rule_files], "evaluation_interval": "30s", "tests": [test]}
    return yaml.dump(file, Dumper=yaml.CSafeDumper, width=1_000_000)


def failures(tools: Tools, path: Path) -> dict[int, str]:
    """promtool's output for each failed scenario of a batch, by its number."""
    try:
        promtool.test_rules(tools, path)
    except promtool.CheckFailed as error:
        _, *failed = str(error).split("expr: ")
        found: dict[int, str] = {}
        for words in failed:
            number = int(re.search(r'scenario=\\"(\d+)', words)[1])
            found[number] = f"{found.get(number, '')}{words}"
        if not found:
            raise
        return found
    return {}


@pytest.fixture(scope="session")
def verdicts(request, tmp_path_factory):
    """For each selected scenario and Prometheus: its number in its batch, and a future of the batch's failures."""
    folder = tmp_path_factory.mktemp("scenarios")
    # The default mixin, for installations that the label `scenario` tells apart.
    knobs = {
        "aggregationLabels": ["cluster", "namespace", "scenario"],
        "expectedTargets": [{"job": "kronos-api", "scenario": str(number)} for number in range(TOGETHER)],
    }
    rules = []
    for name, text in rule_files(evaluate(mixin_path(), {"kronos": knobs})).items():
        rules.append(folder / name)
        rules[-1].write_text(text)
    selected: dict[Tools, list[Scenario]] = {}
    for item in request.session.items:
        if getattr(item, "originalname", "") == test_alerts.__name__:
            selected.setdefault(item.callspec.params["tools"], []).append(item.callspec.params["scenario"])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures, paths = {}, {}
        for tools, scenarios in selected.items():
            for batch in batches(scenarios):
                names = tuple(scenario.name for scenario in batch)
                if names not in paths:
                    paths[names] = folder / f"{len(paths)}.yml"
                    paths[names].write_text(promtool_test(batch, rules))
                future = pool.submit(failures, tools, paths[names])
                futures |= {(name, tools): (number, future) for number, name in enumerate(names)}
        yield futures
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_alerts(scenario, tools, verdicts):
    number, future = verdicts[scenario.name, tools]
    if failed := future.result().get(number):
        pytest.fail(failed)


def test_every_alert_has_a_scenario_that_fires():
    mixin = evaluate(mixin_path())
    alerts = {rule["alert"] for group in mixin.alerts for rule in group["rules"]}
    fired = {name for s in SCENARIOS for firing in s.firing.values() for name in firing}
    fired |= {burn.split()[0] for s in SCENARIOS for burns in s.burning.values() for burn in burns}
    assert alerts == fired


def test_a_gauge_has_the_labels_of_the_contract():
    series = Instance(gauges={"kronos_concurrent_requests": 3}).series(60, 15)
    routes = [labels["route"] for name, labels, _ in series if name == "kronos_concurrent_requests"]
    assert routes == [SINGLE, BATCH]


@pytest.mark.parametrize("told", ["gauges", "events"])
def test_a_scenario_tells_of_known_metrics_only(told):
    with pytest.raises(AssertionError, match="the contract does not have kronos_queue_dept"):
        Instance(**{told: {"kronos_queue_dept": 81}})
