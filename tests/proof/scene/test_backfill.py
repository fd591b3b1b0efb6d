from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from kronos_mixin.contract import load_contract
from kronos_mixin.drill import exposition
from kronos_mixin.drill.story import DAY, INSTANCES, Spell, requests
from proof.scene import backfill

CONTRACT = load_contract()


@pytest.fixture(scope="module")
def told():
    return requests(CONTRACT)


@pytest.fixture(scope="module")
def series(told):
    return list(exposition.Day(CONTRACT, told, 60).series())


def rules(*pairs):
    return SimpleNamespace(rules=[{"rules": [{"record": name, "expr": expr} for name, expr in pairs]}])


def test_rules_come_after_those_that_they_read():
    mixin = rules(("c", "a + b"), ("a", "up"), ("b", "sum(a)"), ("d", "count(up)"))
    levels = [[rule["record"] for rule in level] for level in backfill.levels(mixin, CONTRACT)]
    assert levels == [["a", "d"], ["b"], ["c"]]


def test_rules_in_a_circle_are_refused():
    with pytest.raises(ValueError, match="in a circle: a, b"):
        backfill.levels(rules(("a", "b"), ("b", "a")), CONTRACT)


def test_every_rule_of_the_mixin_has_a_level():
    mixin = backfill.compile_for_history()
    names = [rule["record"] for level in backfill.levels(mixin, CONTRACT) for rule in level]
    assert sorted(names) == sorted(rule["record"] for group in mixin.rules for rule in group["rules"])


@pytest.mark.parametrize(
    ("met", "wait", "keep", "states"),
    [
        ("..XX..", 0, 0, "..FF.."),
        (".XXXX.", 120, 0, ".PPFF."),
        (".XX.XXX", 120, 0, ".PP.PPF"),
        ("XX...", 0, 120, "FFF.."),
        ("XX.X..", 60, 120, "PFFFF."),
    ],
)
def test_an_alert_waits_and_lingers(met, wait, keep, states):
    names = {".": "", "P": "pending", "F": "firing"}
    found = backfill.states(np.array([mark == "X" for mark in met]), wait, keep)
    assert list(found) == [names[mark] for mark in states]


def test_durations():
    assert [backfill.seconds(text) for text in ("30s", "1h30m", "2d", "500ms")] == [30, 5400, 172800, 0.5]


def test_the_same_day_every_time(told):
    again = requests(CONTRACT)
    assert (again.at == told.at).all()
    assert all((again.codes[name] == told.codes[name]).all() for name in told.codes)


def test_every_series_of_the_contract_is_told(series):
    wanted = {name: set(labels) for name, labels in CONTRACT.target_series().items()}
    target = {*exposition.TARGET, "job", "instance"}
    assert {one.name: set(one.labels) - target for one in series} == wanted


def test_no_series_is_told_twice(series):
    assert len({(one.name, *sorted(one.labels.items())) for one in series}) == len(series)


def test_counters_count_the_requests_and_start_anew(series, told):
    """From start to end of each process: what is lost at a restart belongs to the process before."""
    total = np.zeros_like(series[0].values)
    for one in series:
        if one.name == "kronos_requests_total" and one.labels["instance"] == INSTANCES[0].name:
            total += one.values
    (restart,) = INSTANCES[0].down
    mine = told.at[told.codes["instance"] == 0]
    times = np.arange(0, DAY + 1, 60)
    assert np.isnan(total[restart.holds(times)]).all()
    before, after = times < restart.begin, times >= restart.end
    assert total[before][-1] == (mine <= times[before][-1]).sum()
    assert total[after][-1] == (mine > restart.end).sum()
    assert (np.diff(total[before]) >= 0).all()


def test_histograms_are_cumulative_and_their_count_is_their_last_bucket(series):
    buckets, counts = {}, {}
    for one in series:
        key = (one.name.rpartition("_")[0], *sorted((k, v) for k, v in one.labels.items() if k != "le"))
        if one.name.endswith("_bucket"):
            buckets.setdefault(key, []).append((float(one.labels["le"]), one.values))
        elif one.name.endswith("_count"):
            counts[key] = one.values
    assert buckets.keys() == counts.keys()
    for key, values in buckets.items():
        ordered = [series for _, series in sorted(values, key=lambda pair: pair[0])]
        known = ~np.isnan(counts[key])
        assert (np.diff([one[known] for one in ordered], axis=0) >= 0).all(), key
        assert (ordered[-1][known] == counts[key][known]).all(), key


def test_a_spell_has_a_begin_but_not_its_end():
    assert list(Spell(1, 3).holds(np.array([0.0, 1, 2, 3]))) == [False, True, True, False]


def test_a_counter_and_a_histogram_that_the_story_does_not_know_have_data(told):
    timeouts, waits = CONTRACT.metrics["kronos_timeouts_total"], CONTRACT.metrics["kronos_queue_wait_seconds"]
    new = [
        replace(timeouts, name="kronos_cups_total", labels={"route": "api_route", "outcome": "load_outcome"}),
        replace(waits, name="kronos_sips_seconds"),
    ]
    contract = replace(CONTRACT, metrics={**CONTRACT.metrics, **{metric.name: metric for metric in new}})
    day = {(one.name, *one.labels.values()): one for one in exposition.Day(contract, told, 60, DAY - 3600).series()}
    cups = [one for (name, *_), one in day.items() if name == "kronos_cups_total"]
    assert len(cups) == 2 * len(CONTRACT.label_values["load_outcome"]) * len(INSTANCES)
    assert all(one.values[-1] > one.values[0] > 0 for one in cups)
    sips = [one for (name, *_), one in day.items() if name == "kronos_sips_seconds_bucket"]
    assert len({one.values[-1] for one in sips if one.labels["instance"] == INSTANCES[0].name}) > 2
