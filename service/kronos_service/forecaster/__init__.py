"""Forecasting candles with Kronos: checkpoint, decoding and scheduling. Knows no HTTP and no metrics."""

from .checkpoint import Checkpoint, load_checkpoint
from .decoding import forecast
from .demo import DEMO_MODEL, DEMO_TOKENIZER
from .errors import (
    CheckpointError,
    CheckpointInvalid,
    CheckpointNotFound,
    DeviceUnavailable,
    ForecasterError,
    ForecastInvalid,
    InferenceError,
    InvalidOutput,
    ModelFailed,
    NotReady,
    OutOfMemory,
    QueueFull,
    Stopped,
    TooMuchWork,
)
from .forecaster import Forecaster, ModelInfo
from .job import Job
from .normalise import COLUMNS
from .observer import NullObserver, Observer
from .room import Limits
from .sampling import Sampling
from .series import STAMP_RANGES, Forecast, Series, Stage, with_amount
from .stop import StopToken
from .worker import Worker

__all__ = [
    "COLUMNS",
    "DEMO_MODEL",
    "DEMO_TOKENIZER",
    "STAMP_RANGES",
    "Checkpoint",
    "CheckpointError",
    "CheckpointInvalid",
    "CheckpointNotFound",
    "DeviceUnavailable",
    "Forecast",
    "ForecastInvalid",
    "Forecaster",
    "ForecasterError",
    "InferenceError",
    "InvalidOutput",
    "Job",
    "Limits",
    "ModelFailed",
    "ModelInfo",
    "NotReady",
    "NullObserver",
    "Observer",
    "OutOfMemory",
    "QueueFull",
    "Sampling",
    "Series",
    "Stage",
    "StopToken",
    "Stopped",
    "TooMuchWork",
    "Worker",
    "forecast",
    "load_checkpoint",
    "with_amount",
]
