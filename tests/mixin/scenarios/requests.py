"""Requests: how many fail, how long they take, whether any succeeds."""

from __future__ import annotations

from simulate import BATCH, HOUR, MINUTE, Instance, every

from scenarios.scenario import (
    ERRORS,
    HALF_HOURS,
    MISSING,
    MODEL,
    NOTHING,
    SLOW,
    TIMEOUTS,
    Scenario,
    always,
    many,
    one,
    silent,
)

OUTAGE = 30 * MINUTE
WEEK = 7 * 24 * HOUR

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
    # Fifteen bad ones in every rate window, so that the share does not go up and down.
    Scenario("0.95 %", one(every(0.1918), every(20, status="error")), silent(*HALF_HOURS)),
    Scenario("1.05 %", one(every(0.2122), every(20, status="error")), always(ERRORS, *HALF_HOURS)),
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
    # Who has had no success for a day does not use it; here the day is over after 24 and a half hours.
    Scenario(
        "nobody asks for most of a day",
        one(BEFORE, every(60, start=23 * HOUR, stop=26 * HOUR, status="invalid")),
        {22 * 60: {}, 24 * 60: NOTHING, 25 * 60: {}},
        step=60,
        pace=300,
    ),
]

LATENCY = [
    Scenario("4.8 % are slow", one(every(1.0084), every(20, seconds=6, model=0.1)), silent(*HALF_HOURS)),
    Scenario("5.2 % are slow", one(every(1.097), every(20, seconds=6, model=0.1)), always(SLOW, *HALF_HOURS)),
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
    Scenario("5.2 % are slow in the model", one(every(1.097), every(20, seconds=6)), {60: MODEL | SLOW}),
    Scenario("4.8 % are slow in the model", one(every(1.0084), every(20, seconds=6)), {60: {}}),
    Scenario("one odd inference", one(every(300), every(HOUR, start=600, seconds=6)), silent(*range(5, 120, 15))),
    Scenario(
        "slow in the model, but the queue is long",
        one(every(1), every(16, seconds=6), gauges={"kronos_queue_depth": 20}),
        {60: SLOW},
    ),
    Scenario(
        "slow in the model, and the queue is just short enough",
        one(every(1), every(16, seconds=6), gauges={"kronos_queue_depth": 19}),
        {60: MODEL | SLOW},
    ),
]

TIME_LIMIT = [
    Scenario("0.48 %", one(every(0.0965, stop=HOUR), every(20, status="timeout", seconds=120)), silent(20, 50)),
    Scenario(
        "0.52 %", one(every(0.1046, stop=HOUR), every(20, status="timeout", seconds=120)), always(TIMEOUTS, 20, 50)
    ),
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

CALLERS = [
    Scenario(
        "a client that does not back off",
        one(every(10), every(0.95, status="rate_limited", client="greedy", stop=2400)),
        {30: {"KronosExcessiveRateLimiting": 1}, 60: {}},
        where={30: ["client=greedy"]},
    ),
    Scenario("one that does", one(every(10), every(1.05, status="rate_limited", client="greedy")), {30: {}}),
    Scenario(
        "a week ago there was more of it",
        [
            Instance(
                name,
                every(before, stop=3 * HOUR) + every(now, start=WEEK, stop=WEEK + 3 * HOUR),
                labels={"cluster": name},
            )
            for name, before, now in (
                ("a fifth, less a little", 5, 26),
                ("a fifth, and a little", 5, 24),
                ("hardly any, then none", 9.5, 1000),
                ("next to nothing, then none", 10.5, 1000),
                ("as much", 5, 5),
            )
        ]
        + [
            Instance(
                "a quarter of an hour",
                every(5, stop=3 * HOUR) + every(10, start=WEEK + HOUR, stop=WEEK + 1.25 * HOUR),
                labels={"cluster": "half as much, but for minutes"},
            )
        ],
        {WEEK / MINUTE + 20: {}, WEEK / MINUTE + 110: {"KronosTrafficDropped": 3}},
        where={
            WEEK / MINUTE + 110: [
                "cluster=a fifth, less a little",
                "cluster=half as much, but for minutes",
                "cluster=hardly any, then none",
            ]
        },
        step=60,
        pace=300,
    ),
]
