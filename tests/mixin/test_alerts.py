"""Every alert fires when it should, stays silent when it should, and resolves, on every version of Prometheus."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import unit_tests
from scenarios import SCENARIOS, alerts_of
from scenarios.scenario import Scenario
from simulate import BATCH, HOUR, SINGLE, Instance

from kronos_mixin.jsonnet import Mixin
from proof.servers.binaries import Tools

DAY = 24 * HOUR


def slices(mixin: Mixin, scenarios: list[Scenario]) -> dict[frozenset[str], list[Scenario]]:
    """Scenarios by the alerts that are checked in them, which need a part of the rules each."""
    burns = frozenset(name for name in unit_tests.names(mixin) if name.endswith("Burn"))
    others = frozenset(unit_tests.names(mixin) - burns)
    found: dict[frozenset[str], list[Scenario]] = {}
    for scenario in scenarios:
        # A week of all rules takes a minute.
        alerts = burns if scenario.burning else others if scenario.end < DAY else frozenset(alerts_of(scenario))
        found.setdefault(alerts, []).append(scenario)
    return found


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
            for alerts, together in slices(mixin, scenarios).items():
                rules = unit_tests.needed(mixin, alerts)
                for batch in unit_tests.batches(together):
                    names = tuple(scenario.name for scenario in batch)
                    if names not in paths:
                        paths[names] = unit_tests.write(batch, rules, folder / f"{len(paths)}.yml")
                    future = pool.submit(unit_tests.failures, tools, paths[names])
                    futures |= {(name, tools): (number, future) for number, name in enumerate(names)}
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
    assert unit_tests.names(unit_tests.installations()) == fired


def test_a_gauge_has_the_labels_of_the_contract():
    name = "kronos_concurrent_requests"
    series = Instance(gauges={name: 3}).series(60, 15, {name})
    assert [labels["route"] for _, labels, _ in series] == [SINGLE, BATCH]


@pytest.mark.parametrize("told", ["gauges", "events"])
def test_a_scenario_tells_of_known_metrics_only(told):
    with pytest.raises(AssertionError, match="the contract does not have kronos_queue_dept"):
        Instance(**{told: {"kronos_queue_dept": 81}})
