"""What a drill merges: the user's own alerts, told apart from the real ones, and a fault for each of them."""

from __future__ import annotations

import re

import pytest

from kronos_mixin import promql
from kronos_mixin.contract import mixin_path
from kronos_mixin.drill import environment as environments
from kronos_mixin.drill.environment import environment, overrides
from kronos_mixin.drill.faults import UNDRILLED, faults
from kronos_mixin.jsonnet import evaluate

DEADLINE = 1_900_000_000

MINE = {
    "selector": 'env="prod"',
    "aggregationLabels": ["env"],
    "histograms": "native",
    "alertLabels": {"team": "quant"},
    "alertAnnotations": {"summary": "Oh no."},
    "requests": {"failedStatuses": ["overloaded", "timeout"], "guardCount": "200"},
    "objectives": {
        "availability": {"target": "0.9"},
        "burn": [
            {"long": "6h", "short": "30m", "factor": "2", "for": "15m", "severity": "critical"},
            {"long": "1h", "short": "5m", "factor": "8", "for": "2m", "severity": "warning"},
        ],
    },
    "alerts": {
        "KronosServiceDown": {"threshold": "0.8", "severity": "warning"},
        "KronosNothingSucceeds": {"minimum": "500"},
        "KronosRestarting": {"threshold": "6"},
        "KronosVersionSkew": {"enabled": False},
        "KronosTrafficDropped": {"enabled": True},
    },
}


def of(knobs, interval=1, alerts=()):
    user = evaluate(mixin_path(), {"kronos": knobs})
    shortened = evaluate(
        mixin_path(), [{"kronos": knobs}, {"kronos": overrides(user.config, interval, alerts=alerts)}]
    )
    return user, environment(user, shortened, DEADLINE)


@pytest.fixture(scope="module", params=[{}, MINE], ids=["default", "mine"])
def both(request):
    return of(request.param)


def rules(mixin):
    return [rule for group in mixin.alerts for rule in group["rules"]]


def test_every_rule_has_one_fault(both):
    user, drilled = both
    told = [(one.alert, one.labels) for fault in drilled.faults for one in fault.alerts]
    for rule in rules(drilled.mixin):
        name, has = rule["alert"], rule["labels"].items()
        assert len([one for one, labels in told if one == name and labels.items() <= has]) == 1
    assert len(told) == len(rules(drilled.mixin))
    real = {rule["alert"] for rule in rules(user)}
    assert {name for name, _ in told} | drilled.undrilled.keys() == real
    assert drilled.undrilled.keys() == real & UNDRILLED.keys()


def test_alerts_lead_where_the_real_ones_do(both):
    """By their labels, windows of burns included; only `drill` is added."""
    user, drilled = both
    real = [rule["labels"] for rule in rules(user) if rule["alert"] not in UNDRILLED]
    ours = [rule["labels"] for rule in rules(drilled.mixin)]
    assert sorted(map(str, (sorted(one.items()) for one in ours))) == sorted(
        str(sorted((one | {"drill": "true"}).items())) for one in real
    )
    assert all(rule["annotations"]["summary"].startswith("This is a drill. ") for rule in rules(drilled.mixin))


def test_alerts_end_by_themselves(both):
    for rule in rules(both[1].mixin):
        assert rule["expr"].endswith(f") and on () vector(time()) < {DEADLINE}")
        assert promql.pretty(rule["expr"])
        assert "keep_firing_for" not in rule


def test_rules_read_the_drill_alone(both):
    drilled = both[1]
    exprs = [rule["expr"] for group in (*drilled.mixin.rules, *drilled.mixin.alerts) for rule in group["rules"]]
    for expr in exprs:
        for matchers in re.findall(r"\{([^{}]*)\}", expr):
            assert 'job=~"kronos-drill(-.+)?"' in matchers or 'job="kronos-drill-vanished"' in matchers
        assert not re.search(r"\b(kronos_\w+|up)(?![\w{:])(?=[\[ )])", re.sub(r'"[^"]*"', "", expr))


def test_a_drill_takes_minutes_whatever_the_users_windows_are(both):
    for rule in rules(both[1].mixin):
        windows = [*re.findall(r"\[(\d+)([smhd])", rule["expr"]), (rule["for"][:-1], rule["for"][-1])]
        # One looks for success within a day, however long ago.
        long = {"KronosNothingSucceeds"}
        assert rule["alert"] in long or all(unit == "s" and int(number) <= 60 for number, unit in windows)


def test_one_alert_alone():
    _, drilled = of({}, alerts=["KronosModelStuck"])
    assert [fault.name for fault in drilled.faults] == ["stuck"]
    assert {rule["alert"] for rule in rules(drilled.mixin)} == {"KronosModelStuck"}


def test_a_slower_pace_makes_all_windows_longer():
    one, three = of({})[1], of({}, interval=3)[1]
    assert three.seconds > 2 * one.seconds
    assert {group["interval"] for group in three.mixin.rules} == {"3s"}


def test_a_service_counts_as_up_while_one_of_its_targets_is_down(both):
    user, drilled = both
    (one_down,) = [fault for fault in drilled.faults if fault.name == "one-down"]
    up = sum(behaviour.up for behaviour in one_down.ill) / len(one_down.ill)
    assert 1 > up > float(user.config["alerts"]["KronosServiceDown"]["threshold"])


def test_shares_of_burns_lie_between_their_thresholds(both):
    user, drilled = both
    burns = user.config["objectives"]["burn"]
    for alert, objective in (("KronosErrorBudgetBurn", "availability"), ("KronosLatencyBudgetBurn", "latency")):
        budget = 1 - float(user.config["objectives"][objective]["target"])
        for fault in drilled.faults:
            if fault.alerts[0].alert != alert:
                continue
            good, bad = fault.ill[0].flows
            share = bad.pace / (good.pace + bad.pace)
            burning = {burn["long"] for burn in burns if share > float(burn["factor"]) * budget}
            quickest = max(
                (burn for burn in burns if burn["long"] in burning), key=lambda burn: float(burn["factor"])
            )
            assert quickest["long"] == fault.alerts[0].labels["long"]


def test_an_alert_without_a_fault_is_told(monkeypatch):
    known = environments.faults
    monkeypatch.setattr(environments, "faults", lambda config: [one for one in known(config) if one.name != "stuck"])
    assert of({})[1].undrilled == {"KronosModelStuck": "no fault that sets it off is known here"}


def test_names_of_jobs_are_different():
    names = [fault.name for fault in faults(evaluate(mixin_path()).config)]
    assert len(names) == len(set(names))
