"""The contract file, and what load_contract refuses."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kronos_mixin.contract import ContractError, load_contract, mixin_path, parse_contract

RAW: dict[str, Any] = json.loads((mixin_path() / "metrics.json").read_text())


def test_every_label_is_on_a_counter_or_gauge():
    """KronosLabelsTaken looks for displaced labels there."""
    contract = load_contract()
    labels = {
        kind: {label for m in contract.metrics.values() if (m.type == "histogram") == kind for label in m.labels}
        for kind in (True, False)
    }
    assert labels[True] <= labels[False]


def test_the_contract_is_consistent():
    contract = load_contract()
    assert contract.job == "kronos-api"
    assert contract.metrics_path == "/v1/metrics"
    assert contract.metrics["kronos_requests_total"].labels == {"route": "route", "status": "status"}
    assert contract.values("kronos_requests_total", "route") == (
        "/v1/predict/single",
        "/v1/predict/batch",
        "unmatched",
    )
    assert contract.values("kronos_rate_limited_total", "client") is None
    assert contract.external["up"].source == "prometheus"


def test_exposed_series():
    contract = load_contract()
    assert contract.exposed_series("kronos_requests_total") == {"kronos_requests_total": ("route", "status")}
    assert contract.exposed_series("kronos_queue_wait_seconds") == {
        "kronos_queue_wait_seconds_bucket": ("le",),
        "kronos_queue_wait_seconds_sum": (),
        "kronos_queue_wait_seconds_count": (),
    }
    assert contract.exposed_series("ALERTS") == {"ALERTS": ("alertname", "alertstate", "severity")}
    everything = contract.all_exposed_series()
    assert everything["kronos_model_stage_seconds_bucket"] == ("stage", "le")
    assert everything["up"] == ()


def test_the_contract_is_immutable():
    contract = load_contract()
    with pytest.raises(TypeError):
        contract.label_values["route"]["/x"] = "new"  # type: ignore[index]
    with pytest.raises(AttributeError):
        contract.job = "other"  # type: ignore[misc]


@pytest.mark.parametrize("bounds", ["latency", "queue_wait", "processing", "candles", "horizon", "batch", "bytes"])
def test_buckets_are_written_as_prometheus_client_exposes_them(bounds: str):
    from prometheus_client.utils import floatToGoString

    for bound in load_contract().buckets[bounds]:
        assert floatToGoString(float(bound)) == bound


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda raw: raw["metrics"]["kronos_requests_total"]["labels"].update(route="path"),
            "unknown label set 'path'",
        ),
        (lambda raw: raw["metrics"]["kronos_requests_total"]["labels"].update(le="route"), "label 'le'"),
        (lambda raw: raw["metrics"]["kronos_requests_total"]["labels"].update(instance="route"), "label 'instance'"),
        (lambda raw: raw["metrics"]["kronos_batch_rows"].update(buckets="sizes"), "unknown buckets 'sizes'"),
        (lambda raw: raw["metrics"]["kronos_batch_rows"].pop("buckets"), "have buckets"),
        (lambda raw: raw["metrics"]["kronos_queue_depth"].update(buckets="batch"), "have buckets"),
        (lambda raw: raw["metrics"]["kronos_queue_depth"].update(type="summary"), "'summary'"),
        (lambda raw: raw["metrics"]["kronos_queue_depth"].update(type="counter"), "_total"),
        (lambda raw: raw["metrics"]["kronos_model_info"].update(when="sometimes"), "'sometimes'"),
        (lambda raw: raw["metrics"].update({"1x": raw["metrics"]["kronos_queue_depth"]}), "'1x' is not a valid"),
        (lambda raw: raw["metrics"].update(up=raw["metrics"]["kronos_queue_depth"]), "external"),
        (lambda raw: raw["external"]["up"].update(type="text"), "up has the type 'text'"),
        (lambda raw: raw["buckets"].update(batch=["2.0", "1.0"]), "strictly increasing"),
        (lambda raw: raw["buckets"].update(batch=["1.0", "1.0"]), "strictly increasing"),
        (lambda raw: raw["buckets"].update(batch=["one"]), "not all numbers"),
        (lambda raw: raw["buckets"].update(batch=[]), "strictly increasing"),
        (lambda raw: raw["buckets"].update(batch=["1.0", "inf"]), "finite"),
        (lambda raw: raw["open_labels"].update(route="x"), "both a closed and an open"),
        (lambda raw: raw["label_values"].update(route={}), "route is empty"),
        (lambda raw: raw["metrics"]["kronos_queue_depth"].pop("help"), "'help'"),
        (lambda raw: raw["metrics"]["kronos_queue_depth"].pop("example"), "'example'"),
        (lambda raw: raw["metrics"]["kronos_queue_depth"].update(rule_group="kronos-work"), "no rate to record"),
        (
            lambda raw: raw["metrics"]["kronos_queue_depth"]["example"].update(query="kronos_queue_depths"),
            "does not read it",
        ),
        (lambda raw: raw.pop("scrape"), "'scrape'"),
        (lambda raw: raw.update(metrics=[]), "shape"),
    ],
)
def test_contradictions_are_refused(change: Callable[[dict[str, Any]], object], message: str):
    raw = copy.deepcopy(RAW)
    change(raw)
    with pytest.raises(ContractError, match=re.escape(message)):
        parse_contract(raw)


def test_unreadable_files_are_named_in_the_error(tmp_path: Path):
    with pytest.raises(ContractError, match=r"nowhere\.json: No such file"):
        load_contract(tmp_path / "nowhere.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ContractError, match=r"bad\.json is not JSON"):
        load_contract(tmp_path / "bad.json")
