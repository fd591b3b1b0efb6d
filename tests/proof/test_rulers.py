"""The comparison of two rulers finds what differs; `nox -s rulers` makes it, over six hours."""

from __future__ import annotations

import contextlib

import pytest
import yaml

from kronos_mixin.drill.story import END
from kronos_mixin.verify.api import Api
from proof.rulers import compare
from proof.rulers.history import History, read, spans
from proof.scene import replay
from proof.servers import victoriametrics

MINUTES = [END + 60 * minute for minute in range(10)]
RATE, SHARE = "job:kronos_requests:rate5m", "job:kronos_requests_failed:ratio_rate5m"


def labelled(name, **labels):
    return frozenset({"__name__": name, "job": "kronos-api", **labels}.items())


def constant(value, times=MINUTES):
    return dict.fromkeys(times, value)


FIRES = labelled("ALERTS", alertname="KronosHighErrorRate")
BURNS = labelled("ALERTS", alertname="KronosErrorBudgetBurn", short="2h")
OURS = History(
    {labelled(RATE): constant(1.0), labelled(SHARE): constant(0.1)},
    {FIRES: constant(1.0, MINUTES[2:5]), BURNS: constant(1.0, MINUTES[:1])},
)


@pytest.mark.parametrize(
    ("theirs", "problem"),
    [
        (OURS, ""),
        (History({labelled(SHARE): constant(0.1)}, OURS.firing), "recorded by Prometheus alone"),
        (
            History({**OURS.recorded, labelled(RATE, x="y"): constant(1.0)}, OURS.firing),
            "recorded by VictoriaMetrics alone",
        ),
        (History({**OURS.recorded, labelled(RATE): constant(1.0, MINUTES[1:])}, OURS.firing), "10 evaluations"),
        (History({**OURS.recorded, labelled(RATE): constant(1.009)}, OURS.firing), ""),
        (History({**OURS.recorded, labelled(RATE): constant(1.011)}, OURS.firing), "is +1.1% on average"),
        (History({**OURS.recorded, labelled(SHARE): constant(0.114)}, OURS.firing), ""),
        (History({**OURS.recorded, labelled(SHARE): constant(0.116)}, OURS.firing), "may differ by 15%"),
        (History(OURS.recorded, {**OURS.firing, FIRES: constant(1.0, MINUTES[1:4])}), ""),
        (History(OURS.recorded, {**OURS.firing, FIRES: constant(1.0, MINUTES[2:7])}), "fires from 18:02:00"),
        (History(OURS.recorded, {BURNS: OURS.firing[BURNS]}), "and never in VictoriaMetrics"),
        # 5 % of two hours, and one evaluation.
        (History(OURS.recorded, {**OURS.firing, BURNS: constant(1.0, MINUTES[:8])}), ""),
        (History(OURS.recorded, {**OURS.firing, BURNS: constant(1.0, MINUTES[:9])}), "KronosErrorBudgetBurn"),
        (History(OURS.recorded, {**OURS.firing, labelled("ALERTS"): constant(1.0)}), "fires never in Prometheus"),
    ],
)
def test_what_differs_is_told(theirs, problem):
    found = list(compare.problems(OURS, theirs))
    assert len(found) == (problem != "")
    assert problem in "".join(found)


def test_what_comes_and_goes_has_another_tolerance_than_what_goes_on():
    rare = History({labelled(RATE): constant(0.0) | constant(1.0, MINUTES[:2])}, {})
    (of_rare,), (of_steady,) = (
        [mean for mean in compare.means(history, OURS) if mean.record == RATE] for history in (rare, OURS)
    )
    assert of_rare.kind == compare.RARE
    assert of_steady.kind == compare.STEADY


def test_an_alert_that_fires_twice_has_two_spans():
    assert spans(constant(1.0, [*MINUTES[:2], *MINUTES[5:6]])) == [(END, END + 60), (END + 300, END + 300)]


def test_vmalert_replays_rules_over_the_past(tmp_path):
    """The result is there as soon as the replay has ended."""
    rule = {"record": "job:kronos_hours:sum", "expr": "hour()"}
    alert = {"alert": "Odd", "expr": "minute() % 2 == 1"}
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "clock", "interval": "60s", "rules": [rule, alert]}]}))
    tools = victoriametrics.every()[-1]
    with victoriametrics.storing(tools, *replay.FLAGS) as storage:
        victoriametrics.replay(tools, [rules], storage, MINUTES[0], MINUTES[-1])
        with contextlib.closing(Api(storage)) as api:
            found = read(api, MINUTES[0], MINUTES[-1])
    assert found.recorded == {frozenset({("__name__", "job:kronos_hours:sum")}): constant(18.0)}
    (times,) = found.firing.values()
    assert sorted(times) == MINUTES[1::2]


def test_a_replay_that_fails_says_why(tmp_path):
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: [{name: broken, rules: [{record: a, expr: 'sum('}]}]")
    with pytest.raises(victoriametrics.CheckFailed, match=r"sum\("):
        victoriametrics.replay(victoriametrics.every()[-1], [rules], "http://127.0.0.1:1", END, END + 60)
