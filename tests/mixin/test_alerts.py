"""Every alert fires when it should, stays silent when it should, and resolves, on every Prometheus there is.

Each check names ALL alerts that fire at that minute, so a misspelt name can't pass, and a silence is only worth
something beside the scenario that differs in one number and fires.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import yaml
from simulate import BATCH, HOUR, MINUTE, Instance, Request, every, input_series

from proof import promtool


@dataclass
class Scenario:
    """What the instances do, and which alerts fire (name to number) at which minutes."""

    name: str
    instances: list[Instance]
    firing: dict[float, dict[str, int]]
    labels: dict[float, list[str]] = field(default_factory=dict)


def one(*requests: list[Request], **knobs: object) -> list[Instance]:
    return [Instance(requests=[r for part in requests for r in part], **knobs)]  # type: ignore[arg-type]


def instances(count: int, **differences: Instance) -> list[Instance]:
    names = [f"i{n}" for n in range(count)]
    return [differences.get(name, Instance(name=name, requests=every(10))) for name in names]


OUTAGE = 30 * MINUTE
ERRORS = {"KronosHighErrorRate": 1}
SLOW = {"KronosHighLatency": 1}

SCENARIOS = [
    Scenario("nothing ever comes in", one(), {1: {}, 30: {}, 119: {}}),
    Scenario("all is well", one(every(1)), {30: {}, 119: {}}),
    # Errors.
    *(
        Scenario(
            f"every request fails, one in {spacing} s",
            one(every(spacing, stop=OUTAGE), every(spacing, start=OUTAGE + 1, status="error")),
            {29: {}, 75: ERRORS, 119: ERRORS},
        )
        for spacing in (300, 305, 310)
    ),
    Scenario(
        "one odd request an hour fails",
        one(every(300), every(HOUR, start=600, status="error")),
        {m: {} for m in range(5, 120, 5)},
    ),
    Scenario(
        "two odd requests",
        one(every(300), every(60, start=600, stop=660, status="error")),
        {m: {} for m in range(5, 60, 5)},
    ),
    Scenario(
        "four requests in a row fail",
        one(every(300), every(300, start=610, stop=1510, status="error")),
        {24: {}, 29: ERRORS},
    ),
    Scenario("0.9 % fail", one(every(1), every(111, status="error")), {m: {} for m in range(20, 120, 10)}),
    Scenario("1.2 % fail", one(every(1), every(82, status="error")), dict.fromkeys(range(20, 120, 10), ERRORS)),
    Scenario("the queue is full", one(every(1), every(20, status="overloaded")), {20: ERRORS}),
    Scenario(
        "callers' faults", one(every(10), every(1, status="invalid"), every(1, status="too_large")), {20: {}, 60: {}}
    ),
    Scenario("only callers' faults", one(every(1, status="unauthorized")), {20: {}, 60: {}}),
    Scenario(
        "the bad route of two is the quiet one",
        one(every(0.5), every(60, route=BATCH, status="error")),
        {20: ERRORS},
        {20: [BATCH]},
    ),
    Scenario(
        "one bad instance of ten",
        instances(10, i3=Instance(name="i3", requests=every(10, status="error"))),
        {20: ERRORS},
    ),
    Scenario(
        "errors end, the alert resolves",
        one(every(10), every(10, start=600, stop=1800, status="error")),
        {9: {}, 25: ERRORS, 30: ERRORS, 45: {}},
    ),
    Scenario(
        "an instance is born into the outage",
        [*one(every(60, stop=600), stop=600), Instance("b", every(60, start=615, status="error"), start=600)],
        {9: {}, 30: ERRORS},
    ),
    # Latency.
    Scenario("4 % are slow", one(every(1), every(24, seconds=6)), {m: {} for m in range(20, 120, 10)}),
    Scenario("6 % are slow", one(every(1), every(16, seconds=6)), dict.fromkeys(range(30, 120, 10), SLOW)),
    Scenario("exactly on the objective is not slow", one(every(1, seconds=5)), {60: {}}),
    Scenario("a batch may take longer", one(every(1, route=BATCH, seconds=20)), {60: {}}),
    Scenario("a batch may not take this long", one(every(1, route=BATCH, seconds=40)), {60: SLOW}, {60: [BATCH]}),
    Scenario(
        "one slow request at low traffic",
        one(every(300), every(HOUR, start=600, seconds=50)),
        {m: {} for m in range(5, 120, 5)},
    ),
    Scenario("all slow, one in 305 s", one(every(305, seconds=50)), {60: SLOW, 119: SLOW}),
    Scenario("a hang, and every caller gives up", one(every(60, status="cancelled", seconds=20)), {60: SLOW}),
    Scenario(
        "callers give up before the objective", one(every(60), every(60, status="cancelled", seconds=2)), {60: {}}
    ),
    Scenario("slow errors are errors", one(every(60), every(6, status="error", seconds=20)), {60: ERRORS}),
    # Timeouts.
    Scenario(
        "0.4 % time out",
        one(every(1), every(250, status="timeout", seconds=120)),
        {m: {} for m in range(30, 120, 10)},
    ),
    Scenario(
        "0.7 % time out",
        one(every(1), every(140, status="timeout", seconds=120)),
        {m: {"KronosHighTimeoutRate": 1} for m in range(30, 120, 10)},
    ),
    Scenario(
        "one odd timeout",
        one(every(300), every(HOUR, start=600, status="timeout", seconds=120)),
        {m: {} for m in range(5, 120, 5)},
    ),
    Scenario(
        "everything times out, one in 310 s",
        one(every(310, status="timeout", seconds=120)),
        {75: {"KronosHighTimeoutRate": 1} | ERRORS | SLOW},
    ),
    # Is it there?
    Scenario(
        "the only instance is down",
        one(every(10), down=((600, 3000),)),
        {9: {}, 16: {"KronosServiceDown": 1}, 60: {}},
    ),
    Scenario("a restart of the only instance", one(every(10), down=((600, 690),)), {m: {} for m in range(9, 20)}),
    Scenario(
        "one instance of ten is down",
        instances(10, i3=Instance("i3", every(10), down=((600, 3000),))),
        {m: {} for m in range(9, 60, 5)},
    ),
    Scenario(
        "six instances of ten are down",
        instances(10, **{f"i{n}": Instance(f"i{n}", every(10), down=((600, 3000),)) for n in range(6)}),
        {9: {}, 20: {"KronosServiceDown": 1}, 60: {}},
    ),
    Scenario(
        "a rolling restart",
        [Instance(f"i{n}", every(10), down=((600 + 90 * n, 690 + 90 * n),)) for n in range(3)],
        {m: {} for m in range(5, 30)},
    ),
    Scenario(
        "the same service in two namespaces, one down",
        [
            Instance("a", every(10), labels={"namespace": "prod"}, down=((600, 3000),)),
            Instance("a", every(10), labels={"namespace": "test"}),
        ],
        {20: {"KronosServiceDown": 1}},
    ),
    # Resources.
    Scenario("89 % of the memory", one(every(10), memory=0.89), {30: {}}),
    Scenario("91 % of the memory", one(every(10), memory=0.91), {10: {}, 30: {"KronosHighMemoryUsage": 1}}),
    Scenario("no limit is no limit", one(every(10), memory=0.91, memory_limit=0), {30: {}}),
    # Callers.
    Scenario(
        "a client that does not back off",
        one(every(10), [Request(r.at, "rate_limited", client="greedy") for r in every(0.8)]),
        {30: {"KronosExcessiveRateLimiting": 1}},
    ),
    Scenario(
        "clients that do",
        one(every(10), [Request(r.at, "rate_limited", client="greedy") for r in every(1.3)]),
        {30: {}},
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_alerts(scenario, compiled, tools, tmp_path):
    # One test per minute that is checked: promtool evaluates the rules anew for each.
    end = max(scenario.firing) * MINUTE
    checks = [
        {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{minute:g}m",
            "exp_samples": [
                {"labels": f'{{alertname="{name}"}}', "value": count} for name, count in firing.items() if count
            ],
        }
        for minute, firing in scenario.firing.items()
    ] + [
        {
            "expr": 'count by (route) (ALERTS{alertstate="firing"})',
            "eval_time": f"{minute:g}m",
            "exp_samples": [{"labels": f'{{route="{route}"}}', "value": 1} for route in routes],
        }
        for minute, routes in scenario.labels.items()
    ]
    test = {
        "rule_files": [str(path) for path in compiled.rule_files],
        "evaluation_interval": "30s",
        "tests": [
            {"interval": "15s", "input_series": input_series(scenario.instances, end), "promql_expr_test": checks}
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(test, width=1_000_000))
    promtool.test_rules(tools, file)
