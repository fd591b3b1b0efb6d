"""A service whose instances are divided between two servers, as by hashmod: what of it the two know together.

Three clusters in one Prometheus: the whole service, and two with a part of its instances each. So one evaluation of
the rules, which keep clusters apart, tells what each server would record.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import defaultdict

import numpy as np
import pytest

from kronos_mixin import promql
from kronos_mixin.compile import refuse_invalid
from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.drill import exposition
from kronos_mixin.drill.story import DAY, END, SLOW, requests
from kronos_mixin.inputs import Inputs
from kronos_mixin.jsonnet import CompileError, evaluate
from kronos_mixin.jsonnet.engines import engine
from kronos_mixin.jsonnet.imports import Imports
from proof.scene import backfill
from proof.servers import binaries

GUIDE = (mixin_path().parent / "monitoring" / "README.md").read_text()
WHOLE, PARTS = "whole", ("one", "two")
ILL = "10.0.0.2:8000"
BEGIN = SLOW.begin - 20 * 60
MINUTES = 70


def part_of(instance):
    return PARTS[instance == ILL]


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """What is recorded, and which alerts fire: `[name][labels but the cluster][cluster]` are values by time."""
    tools = binaries.newest()
    folder, contract, mixin = tmp_path_factory.mktemp("parts"), load_contract(), backfill.compile_for_history()
    told = requests(contract)
    # One instance alone is slow, and has traffic for eight minutes, and none for eight.
    ill = told.codes["instance"] == 1
    day = exposition.Day(
        contract, told.where(np.where(ill, told.at // 480 % 2 == 1, told.values["seconds"] < 5)), backfill.STEP, 0
    )
    chosen = slice(int(BEGIN // backfill.STEP), int(BEGIN // backfill.STEP) + MINUTES)
    times = (END - DAY + day.times[chosen]).tolist()
    scraped = [
        exposition.Series(one.name, {**one.labels, "cluster": cluster}, one.values[chosen])
        for one in day.series()
        for cluster in (WHOLE, part_of(one.labels["instance"]))
    ]
    data = folder / "data"
    found = defaultdict(lambda: defaultdict(dict))

    def keep(name, series):
        labels = {key: value for key, value in series.labels.items() if key != "cluster"}
        found[name][frozenset(labels.items())][series.labels["cluster"]] = series.values

    backfill.write_blocks(tools, folder, data, scraped, times)
    for level in backfill.levels(mixin, contract):
        with backfill.serve(tools, data) as server:
            recorded = [series for rule in level for series in backfill.recorded_series(server, rule, times)]
        backfill.write_blocks(tools, folder, data, recorded, times)
        for series in recorded:
            keep(series.name, series)
    with backfill.serve(tools, data) as server:
        for rule in (rule for group in mixin.alerts for rule in group["rules"]):
            for series in backfill.alert_series(server, rule, times):
                keep(rule["alert"], series)
    return found


def in_jsonnet(field):
    """A field of every record, by name, which the compiled rules do not have."""
    snippet = f"""
        local records = (import 'rules/records.libsonnet')((import 'mixin.libsonnet')._config.kronos);
        {{ [rule.record]: rule.{field} for group in records.groups for rule in group.rules }}
    """
    return engine().evaluate(str(mixin_path() / "snippet"), snippet, Imports([], Inputs()), {})


def adds_up(series):
    """Whether the values of both parts, added up, are those of the whole: at each time, for each of its labels."""
    for by_cluster in series.values():
        values = [by_cluster[part] for part in PARTS if part in by_cluster]
        together = np.where(np.isnan(values).all(axis=0), math.nan, np.nansum(values, axis=0)) if values else math.nan
        if not np.allclose(by_cluster.get(WHOLE, math.nan), together, rtol=1e-9, atol=1e-9, equal_nan=True):
            return False
    return True


def minutes(series):
    """For how many evaluations an alert fires, by cluster, at most for one of its labels."""
    found = dict.fromkeys((WHOLE, *PARTS), 0)
    for labels, by_cluster in series.items():
        if ("alertstate", "firing") in labels:
            for cluster, values in by_cluster.items():
                found[cluster] = max(found[cluster], int(np.count_nonzero(~np.isnan(values))))
    return found


def test_records_that_may_be_added_up_and_others_that_may_not(known):
    """As the mixin says of each, and the guide of the last part of their names."""
    summable = in_jsonnet("summable")
    assert {name: adds_up(known[name]) for name in summable} == summable
    (sentence,) = re.findall(r"Of what is recorded, .*? add up", GUIDE, re.DOTALL)
    kinds = {re.sub(r"\d+.*", "", name.rpartition(":")[2]) for name, may in summable.items() if may}
    assert set(re.findall(r"`:([a-z]+)", sentence)) == kinds


def test_alerts_that_are_right_on_a_part(known):
    """Those that the knob leaves; the guide names them, and their expressions look at one instance alone."""
    on_shard = evaluate(mixin_path(), {"kronos": {"shard": True}})
    left = {rule["alert"] for group in on_shard.alerts for rule in group["rules"]}
    assert [name for name in left if not adds_up(known[name])] == []
    assert sum(minutes(known["KronosLogLinesLost"]).values()) > MINUTES
    every = [rule for group in evaluate(mixin_path()).alerts for rule in group["rules"]]
    assert {rule["alert"] for rule in every if not promql.mixes_instances(rule["expr"])} == left
    (sentence,) = re.findall(r"are right on a shard.*?\.\s", GUIDE, re.DOTALL)
    assert set(re.findall(r"Kronos\w+", sentence)) == left


def test_other_alerts_are_silent_or_false_on_a_part(known):
    failing, slow = minutes(known["KronosHighErrorRate"]), minutes(known["KronosHighLatency"])
    assert failing[WHOLE] > sum(failing[part] for part in PARTS)
    assert slow[WHOLE] == 0 < max(slow.values())


def test_rules_that_would_be_wrong_on_a_shard_are_refused():
    """Such as one of the user's own."""
    mixin = evaluate(mixin_path(), {"kronos": {"shard": True}})
    rule = {"alert": "Mine", "expr": 'sum by (job) (up{job="kronos-api"}) < 2'}
    with pytest.raises(
        CompileError, match=r"(?s)kronos-alerts.yml: Mine: takes the sum of several instances\n.*all series meet"
    ):
        refuse_invalid(dataclasses.replace(mixin, alerts=[{"name": "mine", "rules": [rule]}]))
    assert refuse_invalid(mixin) == []
