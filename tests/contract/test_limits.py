"""What the settings allow, the buckets of the contract can tell apart from more."""

import annotated_types
import pytest

from kronos_mixin.contract import load_contract
from kronos_service.settings import Settings

TOPS = {name: float(metric.buckets[-1]) for name, metric in load_contract().metrics.items() if metric.buckets}


def most(setting: str) -> float:
    """The largest value that a setting may have."""
    bounds = [bound.le for bound in Settings.model_fields[setting].metadata if isinstance(bound, annotated_types.Le)]
    return float(bounds[0])


@pytest.mark.parametrize(
    ("setting", "metric"),
    [
        ("max_candles", "kronos_prediction_input_candles"),
        ("max_horizon", "kronos_prediction_horizon_candles"),
        ("batch_rows", "kronos_batch_rows"),
        ("max_body_bytes", "kronos_request_size_bytes"),
    ],
)
def test_sizes(setting, metric):
    assert TOPS[metric] >= most(setting)


@pytest.mark.parametrize(
    "metric",
    [
        "kronos_queue_wait_seconds",
        "kronos_model_inference_seconds",
        "kronos_model_stage_seconds",
        "kronos_time_to_first_candle_seconds",
    ],
)
def test_times_within_the_time_limit(metric):
    """The limit itself is at most the top bucket of the duration, which the settings check."""
    assert TOPS[metric] >= TOPS["kronos_request_duration_seconds"]
