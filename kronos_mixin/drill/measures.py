"""What each metric shows of a request: which requests it counts, and what it observes of them.

The day of the story asks with arrays, one row per request, a drill with the numbers of one request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kronos_mixin.contract import Metric

SINGLE, BATCH, UNMATCHED = "/v1/predict/single", "/v1/predict/batch", "unmatched"

MEMORY_LIMIT = 2.0 * 2**30
QUEUE_CAPACITY = 256.0
CACHED_POSITIONS = 2.0**15

REASONS = {
    "rate_limited": "rate_limited",
    "too_large": "too_large",
    "unauthorized": "unauthorized",
    "overloaded": "queue_full",
    "unavailable": "draining",
}
"""Why a request of a status was rejected."""

STAGES = {
    "tokenize": 0.03,
    "prefill": 0.2,
    "decode": 0.7,
    "detokenize": 0.07,
    "preprocess": 0.002,
    "postprocess": 0.001,
}
"""The share of each stage in what is observed of a request: every request goes through all of them."""

MODEL = {
    "model": "NeoQuasar/Kronos-small",
    "revision": "901c26c1332695a2a8f243eb2f37243a37bea320",
    "tokenizer": "NeoQuasar/Kronos-Tokenizer-base",
    "tokenizer_revision": "0e0117387f39004a9016484a186a908917e22426",
    "dtype": "float32",
}
BUILD = {"version": "1.0.0", "python": "3.11.2", "torch": "2.13.0"}

Values = Mapping[str, Any]
"""seconds, wait, inference (seconds), candles, horizon, series, and spread, a number around 1 that varies."""


class UnknownMetric(Exception):  # noqa: N818 - It names what is unknown.
    """The contract has a metric for which there is no value here; the message names it."""


@dataclass(frozen=True)
class Measure:
    """The requests that a metric counts, by their status (None: all), and what it observes of one."""

    statuses: frozenset[str] | None
    value: Callable[[Values], Any]
    weight: Callable[[Values], Any] | None = None
    """How often it counts one request; None: once."""


_ADMITTED = frozenset({"success", "timeout", "cancelled", "error", "unavailable"})
_WORKED = frozenset({"success", "timeout"})


def _series(values: Values) -> Any:
    return values["series"]


def _ahead(values: Values) -> Any:
    return values["series"] * values["horizon"]


def _once(values: Values) -> Any:
    """The value of a counter, which nobody reads."""
    return values["seconds"]


_MEASURES = {
    "kronos_requests_total": Measure(None, _once),
    "kronos_request_duration_seconds": Measure(_ADMITTED, lambda v: v["seconds"]),
    "kronos_request_size_bytes": Measure(_ADMITTED, lambda v: 90 * v["candles"] * v["series"] * v["spread"]),
    "kronos_response_size_bytes": Measure(_ADMITTED, lambda v: 120 * _ahead(v) * v["spread"]),
    "kronos_queue_wait_seconds": Measure(_WORKED, lambda v: v["wait"], _series),
    "kronos_model_inference_seconds": Measure(_WORKED, lambda v: v["inference"]),
    "kronos_model_stage_seconds": Measure(_WORKED, lambda v: v["inference"]),
    "kronos_processing_seconds": Measure(_WORKED, lambda v: v["spread"] * v["series"] ** 0.5),
    "kronos_batch_rows": Measure(_WORKED, _series),
    "kronos_time_to_first_candle_seconds": Measure(_WORKED, lambda v: v["wait"] + 0.2 * v["inference"], _series),
    "kronos_time_per_candle_seconds": Measure(_WORKED, lambda v: v["inference"] / v["horizon"], _series),
    "kronos_prediction_input_candles": Measure(_WORKED, lambda v: v["candles"], _series),
    "kronos_prediction_horizon_candles": Measure(_WORKED, lambda v: v["horizon"], _series),
    "kronos_forecast_candles_total": Measure(_WORKED, _once, _ahead),
    "kronos_inconsistent_candles_total": Measure(_WORKED, _once, lambda v: _ahead(v) * 0.02 * v["spread"] // 1),
    "kronos_nonpositive_candles_total": Measure(_WORKED, _once, lambda v: _ahead(v) * 0.001 * v["spread"] // 1),
    "kronos_mended_candles_total": Measure(_WORKED, _once, lambda v: v["candles"] * 0.002 * v["spread"] // 1),
    "kronos_refused_series_total": Measure(_WORKED, _once, lambda v: v["series"] * 0.01 * v["spread"] // 1),
    "kronos_timeouts_total": Measure(frozenset({"timeout"}), _once),
    "kronos_errors_total": Measure(frozenset({"error"}), _once),
    "kronos_rejections_total": Measure(frozenset(REASONS), _once),
    "kronos_rate_limited_total": Measure(frozenset({"rate_limited"}), _once),
    "kronos_cancellations_total": Measure(frozenset({"cancelled"}), _once),
}


def measure(metric: Metric) -> Measure:
    """What a counter or histogram shows of a request; without an entry here, something around its middle bucket."""
    middle = float(metric.buckets[len(metric.buckets) // 2]) if metric.buckets else 1.0
    return _MEASURES.get(metric.name) or Measure(_WORKED, lambda v: middle * v["spread"])


def mentioned(metric: Metric) -> bool:
    """Whether it is said here what the metric shows of a request."""
    return metric.name in _MEASURES
