"""Instances that come and go, and their models."""

from __future__ import annotations

from simulate import HOUR, Instance, every

from scenarios.scenario import DOWN, MISSING, Scenario, always, many, one, silent

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
    # As many as may be are up: the service is not down, but each that is.
    Scenario(
        "eleven of twenty are down",
        many(20, *(Instance(f"i{n}", every(10), down=((600, 3000),)) for n in range(11))),
        {30: {"KronosTargetDown": 11}},
        about="KronosTargetDown",
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
        "one of the new instances takes fourteen minutes",
        many(6, Instance("i5", start=600, down=((600, 1440),))),
        silent(*range(20, 40)),
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
    *(
        Scenario(
            f"{20 - failed} of 20 scrapes succeed",
            many(3, Instance("i1", every(10), missed=lambda t, failed=failed: t // 15 % 20 < failed)),
            always(firing, 20, 50),
        )
        for failed, firing in ((9, {"KronosTargetDown": 1}), (7, {}))
    ),
    *(
        Scenario(
            f"{up} of {count} are up",
            [Instance(f"i{n}", down=((600, 3000),) if n >= up else ()) for n in range(count)],
            {9: {}, 30: firing},
        )
        for up, count, firing in ((4, 9, DOWN), (6, 13, {"KronosTargetDown": 7}))
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
    Scenario("calls of a slow model", one(gauges={"kronos_model_call_seconds": 60}), silent(5, 20, 60)),
    Scenario(
        "calls of an even slower model", one(gauges={"kronos_model_call_seconds": 61}), {5: {"KronosModelStuck": 1}}
    ),
    Scenario(
        "it is draining",
        many(3, Instance("i1", gauges={"kronos_model_ready": 0, "kronos_draining": 1})),
        silent(20, 60),
    ),
]
