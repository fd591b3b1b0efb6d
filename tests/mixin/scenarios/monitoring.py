"""Series that do not arrive, or not as they should."""

from __future__ import annotations

from simulate import Instance, every

from scenarios.scenario import Scenario, always, many, one, silent

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
