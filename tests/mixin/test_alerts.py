"""Every alert fires when it should, stays silent when it should, and resolves, on every version of Prometheus."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import unit_tests
from needs import names, needed
from scenarios import SCENARIOS, alerts_of
from scenarios.scenario import Scenario
from simulate import BATCH, SINGLE, Instance

from proof.servers.binaries import Tools


@pytest.fixture(scope="session")
def verdicts(request, tmp_path_factory):
    """For each selected scenario and Prometheus: its number in its batch, and a future of the batch's failures."""
    folder = tmp_path_factory.mktemp("scenarios")
    mixin = unit_tests.installations()
    selected: dict[Tools, list[Scenario]] = {}
    for item in request.session.items:
        if getattr(item, "originalname", "") in {test_alerts.__name__, test_times_on_the_newest.__name__}:
            selected.setdefault(item.callspec.params["tools"], []).append(item.callspec.params["scenario"])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures, paths = {}, {}
        for tools, scenarios in selected.items():
            for alerts, together in unit_tests.slices(mixin, scenarios).items():
                rules = needed(mixin, alerts)
                for batch in unit_tests.batches(together):
                    told = tuple(scenario.name for scenario in batch)
                    if told not in paths:
                        paths[told] = unit_tests.write(batch, rules, folder / f"{len(paths)}.yml")
                    future = pool.submit(unit_tests.failures, tools, paths[told])
                    futures |= {(name, tools): (number, future) for number, name in enumerate(told)}
        yield futures
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if not one.about], ids=lambda scenario: scenario.name)
def test_alerts(scenario, tools, verdicts):
    number, future = verdicts[scenario.name, tools]
    if failed := future.result().get(number):
        pytest.fail(failed)


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if one.about], ids=lambda scenario: scenario.name)
def test_times_on_the_newest(scenario, tools, verdicts):
    """To one evaluation; before 3.0, which takes both ends of a window, some alerts are one earlier or later."""
    test_alerts(scenario, tools, verdicts)


def test_every_alert_has_a_scenario_that_fires():
    fired = set().union(*map(alerts_of, SCENARIOS))
    assert names(unit_tests.installations()) == fired


def test_a_gauge_has_the_labels_of_the_contract():
    name = "kronos_concurrent_requests"
    series = Instance(gauges={name: 3}).series(60, 15, {name})
    assert [labels["route"] for _, labels, _ in series] == [SINGLE, BATCH]


@pytest.mark.parametrize("told", ["gauges", "events"])
def test_a_scenario_tells_of_known_metrics_only(told):
    with pytest.raises(AssertionError, match="the contract does not have kronos_queue_dept"):
        Instance(**{told: {"kronos_queue_dept": 81}})
