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


def test_a_name_says_the_unit():
    """By Prometheus's convention; a name without a unit counts things, and no seconds or bytes."""
    metrics = load_contract().metrics.values()
    units = {metric.unit for metric in metrics}
    assert units == {
        *("boolean", "info"),
        *("bytes", "candles", "lines", "loads", "positions", "requests", "rows", "seconds", "series"),
    }
    for metric in metrics:
        if named := [word for word in metric.name.split("_") if word in units]:
            assert metric.unit == named[-1], metric.name
        else:
            assert metric.unit not in {"seconds", "bytes"}, metric.name


def test_what_has_the_same_values_has_the_same_name():
    names: dict[str, set[str]] = {}
    for metric in load_contract().metrics.values():
        for label, values in RAW["metrics"][metric.name]["labels"].items():
            names.setdefault(values, set()).add(label)
    assert {values: found for values, found in names.items() if len(found) > 1} == {}


# Prometheus cannot add up what was counted by other boundaries before.
BUCKETS = {
    "latency": "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 20.0 30.0 60.0 120.0 180.0 300.0",
    "queue_wait": "0.001 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 30.0 60.0 120.0 300.0",
    "processing": "0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5",
    "candles": "16.0 32.0 64.0 128.0 256.0 400.0 512.0 1024.0 2048.0 65536.0",
    "horizon": "1.0 5.0 10.0 24.0 30.0 60.0 120.0 240.0 512.0 65536.0",
    "candle": "0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0",
    "batch": "1.0 2.0 4.0 8.0 16.0 32.0 64.0 128.0 1024.0 4096.0",
    "bytes": "1024.0 4096.0 16384.0 65536.0 262144.0 1.048576e+06 4.194304e+06 1.6777216e+07 1.073741824e+09",
}


HISTOGRAMS = {
    "latency": {
        "kronos_request_duration_seconds",
        "kronos_model_inference_seconds",
        "kronos_model_stage_seconds",
        "kronos_time_to_first_candle_seconds",
    },
    "bytes": {"kronos_request_size_bytes", "kronos_response_size_bytes"},
    "queue_wait": {"kronos_queue_wait_seconds"},
    "candle": {"kronos_time_per_candle_seconds"},
    "batch": {"kronos_batch_rows"},
    "processing": {"kronos_processing_seconds"},
    "candles": {"kronos_prediction_input_candles"},
    "horizon": {"kronos_prediction_horizon_candles"},
}


def test_boundaries_stay_as_they_are():
    """In a major version, change them here as well."""
    used: dict[str, set[str]] = {}
    for name, metric in RAW["metrics"].items():
        if "buckets" in metric:
            used.setdefault(metric["buckets"], set()).add(name)
    assert used == HISTOGRAMS
    assert {name: " ".join(bounds) for name, bounds in RAW["buckets"].items()} == BUCKETS


def test_everything_else_is_there_from_the_start():
    """`verify` misses what is not, so a condition must hold for the service as it is."""
    assert {metric.name: metric.when for metric in load_contract().metrics.values() if metric.when} == {
        "kronos_model_info": "model_loaded",
        "kronos_device_memory_used_bytes": "gpu",
        "kronos_device_memory_limit_bytes": "gpu",
    }


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
