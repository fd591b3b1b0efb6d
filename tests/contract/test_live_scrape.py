"""The contract against scrapes of the running service."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from kronos_mixin.contract import Contract, load_contract
from kronos_mixin.drill.kronos import Behaviour, Instance
from kronos_mixin.verify.failures import MOST_SERIES
from tests.service.server import BATCH, ROOT, SINGLE, Server, series

CLIENTS = [f"client-{number}" for number in range(16)]
Series = tuple[str, frozenset[tuple[str, str]]]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with the most named clients, and so the most series."""
    keys = ",".join(f"{name}:{name}-0123456789abcdef" for name in CLIENTS)
    with Server(tmp_path_factory.mktemp("crowded"), api_keys=keys, rate_limit="1000/minute") as running:
        running.client.headers["X-API-Key"] = "client-3-0123456789abcdef"
        yield running


def scrape(server: Server) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(server.client.get("/v1/metrics").text)}


def series_of(families: dict[str, Metric]) -> set[Series]:
    return {
        (sample.name, frozenset(sample.labels.items())) for family in families.values() for sample in family.samples
    }


def expected_series(contract: Contract) -> Iterator[Series]:
    """Every series of the service's own metrics, except info metrics with open labels."""
    for metric in contract.metrics.values():
        choices = [
            [*CLIENTS, "anonymous", "other"] if values == "client" else contract.values(metric.name, label)
            for label, values in metric.labels.items()
        ]
        if metric.when is not None or None in choices:
            continue
        for combination in itertools.product(*(choice for choice in choices if choice)):
            labels = set(zip(metric.labels, combination, strict=True))
            if metric.type != "histogram":
                yield metric.name, frozenset(labels)
                continue
            yield f"{metric.name}_sum", frozenset(labels)
            yield f"{metric.name}_count", frozenset(labels)
            for bound in (*metric.buckets, "+Inf"):
                yield f"{metric.name}_bucket", frozenset(labels | {("le", bound)})


def test_the_scrape_matches_the_contract(crowded: Server):
    contract = load_contract()
    families = scrape(crowded)
    for metric in contract.metrics.values():
        if metric.when == "gpu":
            assert metric.name not in families
            continue
        family = families[metric.name.removesuffix("_total") if metric.type == "counter" else metric.name]
        assert (family.type, family.documentation) == (metric.type, metric.help)
        names = contract.exposed_series(metric.name)
        for sample in family.samples:
            assert set(sample.labels) == set(names[sample.name])
    for external in contract.external.values():
        if external.source == "prometheus-client":
            family = families[external.name.removesuffix("_total") if external.type == "counter" else external.name]
            assert family.type == external.type
            assert all(set(sample.labels) == set(external.labels) for sample in family.samples)
    known = contract.all_exposed_series()
    assert {name for name, _ in series_of(families)} <= known.keys()


def test_children_exist_at_0_from_the_start_and_traffic_adds_none(crowded: Server):
    contract = load_contract()
    before = scrape(crowded)
    expected = set(expected_series(contract))
    have = series_of(before)
    assert expected <= have
    infos = {name for name, metric in contract.metrics.items() if metric.unit == "info"}
    assert {name for name, _ in have - expected} <= infos | contract.external.keys()
    counting = {metric.name for metric in contract.metrics.values() if metric.type in {"counter", "histogram"}}
    values = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in before.values()
        for sample in family.samples
        if family.name in counting or f"{family.name}_total" in counting
    }
    nonzero = {key for key, value in values.items() if value}
    assert nonzero == {("kronos_model_loads_total", ("success",))}

    assert crowded.post(SINGLE, series(30, 3)).status_code == 200
    assert crowded.post(BATCH, {"items": [series(5, 1), series(6, 2)]}).status_code == 200
    assert crowded.post(SINGLE, {}).status_code == 422
    assert crowded.client.get("/elsewhere").status_code == 404
    assert series_of(scrape(crowded)) == have


def closed(series: set[Series], contract: Contract) -> set[Series]:
    """The series, with a star for each value that is not known in advance."""
    known = {value for values in contract.label_values.values() for value in values}
    return {
        (
            name,
            frozenset(
                (label, value if label in {"le", "generation"} or value in known else "*") for label, value in labels
            ),
        )
        for name, labels in series
    }


def test_drills_and_benchmarks_make_up_the_same_series(crowded: Server):
    contract = load_contract()
    families = text_string_to_metric_families(Instance(contract, "one", Behaviour()).scrape())
    made_up = {(sample.name, frozenset(sample.labels.items())) for family in families for sample in family.samples}
    real = series_of(scrape(crowded))
    assert closed(made_up, contract) == closed(real, contract)
    # A client more or less is the only other difference.
    assert len(real) - len(made_up) == len(CLIENTS) - 1


def test_there_are_as_many_series_as_the_guide_says(crowded: Server):
    guide = (ROOT / "service" / "OBSERVABILITY.md").read_text()
    found = len(series_of(scrape(crowded)))
    assert found <= MOST_SERIES
    assert f"at most {MOST_SERIES} series; with the maximum of {len(CLIENTS)} clients it has {found}." in guide


def test_the_openmetrics_scrape_is_well_formed(crowded: Server):
    answer = crowded.client.get("/v1/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    families = {family.name for family in parse_openmetrics(answer.text)}
    assert "kronos_requests" in families


def test_gauges(crowded: Server):
    samples = {name: value for (name, labels), value in crowded.samples().items() if not labels}
    assert samples["kronos_model_ready"] == 1
    assert samples["kronos_draining"] == 0
    assert samples["kronos_queue_depth"] == 0
    assert samples["kronos_queue_capacity"] == 1024
    assert samples["kronos_memory_limit_bytes"] > samples["process_resident_memory_bytes"] > 0
    assert 0 <= samples["kronos_event_loop_lag_seconds"] < 30
    assert samples["kronos_model_load_seconds"] > 0
    info = {"model": "demo", "tokenizer": "demo-tokenizer", "device": "cpu"}
    assert crowded.total("kronos_model_info", **info) == 1
    assert crowded.total("kronos_build_info") == 1
