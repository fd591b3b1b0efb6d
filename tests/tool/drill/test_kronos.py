"""A made-up instance exposes what the contract says, and counts as it is told."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kronos_mixin.contract import load_contract
from kronos_mixin.drill.kronos import Behaviour, Flow, Instance
from kronos_mixin.drill.measures import BATCH, SINGLE

CONTRACT = load_contract()


class Clock:
    """Stands still until it is told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def instance(clock, behaviour=None):
    return Instance(CONTRACT, "one", behaviour or Behaviour(), clock)


def samples(one):
    found = {}
    for family in text_string_to_metric_families(one.scrape()):
        for sample in family.samples:
            found[sample.name, *sorted(sample.labels.items())] = sample.value
    return found


def test_every_series_of_the_contract_is_there_once(clock):
    one = instance(clock, Behaviour(device="cuda:0"))
    told = {(key[0], frozenset(label for label, _ in key[1:])) for key in samples(one)}
    for metric in CONTRACT.metrics:
        for name, labels in CONTRACT.exposed_series(metric).items():
            assert (name, frozenset(labels)) in told
    lines = [line.rsplit(" ", 1)[0] for line in one.scrape().splitlines()]
    assert len(lines) == len(set(lines))


def test_its_cpu_time_moves(clock):
    one = instance(clock)
    clock.now += 10
    assert samples(one)["process_cpu_seconds_total",] > 0


def test_counters_begin_at_0_and_follow_the_pace(clock):
    one = instance(clock, Behaviour((Flow(2), Flow(0.5, "error", route=BATCH))))
    success = ("kronos_requests_total", ("route", SINGLE), ("status", "success"))
    failed = ("kronos_requests_total", ("route", BATCH), ("status", "error"))
    assert samples(one)[success] == samples(one)[failed] == 0
    clock.now += 10
    assert (samples(one)[success], samples(one)[failed]) == (20, 5)
    one.behave(Behaviour((Flow(1, "error", route=BATCH),)))
    clock.now += 10
    assert (samples(one)[success], samples(one)[failed]) == (20, 15)


def test_a_slow_request_is_in_no_bucket_below_its_time(clock):
    one = instance(clock, Behaviour((Flow(1, seconds=7, inference=6),)))
    clock.now += 10
    found = samples(one)
    bucket = "kronos_request_duration_seconds_bucket"
    labels = [("route", SINGLE), ("status", "success")]
    assert found[bucket, ("le", "5.0"), *labels] == 0
    assert found[bucket, ("le", "10.0"), *labels] == found[bucket, ("le", "+Inf"), *labels] == 10
    assert found["kronos_request_duration_seconds_sum", *labels] == 70
    assert found["kronos_model_inference_seconds_bucket", ("le", "5.0"), ("route", SINGLE)] == 0


def test_a_restart_begins_anew(clock):
    one = instance(clock, Behaviour(restart=5))
    clock.now += 4
    assert samples(one)[("process_start_time_seconds",)] == 1000
    clock.now += 2
    found = samples(one)
    assert found[("process_start_time_seconds",)] == 1006
    assert found["kronos_requests_total", ("route", SINGLE), ("status", "success")] < 30


def test_what_gets_lost_on_the_way(clock):
    histogram = "kronos_request_duration_seconds"
    names = {key[0] for key in samples(instance(clock, Behaviour(without=frozenset({histogram}))))}
    assert f"{histogram}_bucket" not in names
    assert f"{histogram}_count" in names
    displaced = samples(instance(clock, Behaviour(displaced={"route": "x"})))
    assert ("kronos_requests_total", ("exported_route", SINGLE), ("route", "x"), ("status", "success")) in displaced
    assert instance(clock, Behaviour(foreign=True)).scrape() == "something_else 1\n"
