"""Requests and answers as pydantic models, from which the OpenAPI document is generated too.

Requests are strict: no unknown fields, no strings or booleans for numbers, no NaN or infinity. Limits that are
settings (how many candles, items, samples) are checked in ``parsing``, rules between fields (order of times, low
against high) in ``candles``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_PRICE = 1e12
MAX_VOLUME = 1e15
MAX_AMOUNT = 1e27
"""Bounds that no market reaches. A volume times a price, which replaces a missing amount, stays within them, and
squares and sums stay finite."""

MAX_SERIES_ID_LENGTH = 128
MAX_QUANTILES = 9

_EXAMPLE_CANDLES = [
    {"open": 100.0, "high": 103.5, "low": 99.0, "close": 102.0, "volume": 12000},
    {"open": 102.0, "high": 104.0, "low": 101.5, "close": 103.0, "volume": 9000},
    {"open": 103.0, "high": 103.2, "low": 100.0, "close": 100.5, "volume": 15000},
]
_EXAMPLE_TIMES = ["2024-01-02T00:00:00Z", "2024-01-03T00:00:00Z", "2024-01-04T00:00:00Z"]
_EXAMPLE_SERIES: dict[str, Any] = {
    "series_id": "ACME",
    "candles": _EXAMPLE_CANDLES,
    "timestamps": _EXAMPLE_TIMES,
    "horizon": 2,
    "overrides": {"sample_count": 5, "seed": 7, "quantiles": [0.1, 0.9]},
}
_EXAMPLE_OTHER: dict[str, Any] = {
    "candles": _EXAMPLE_CANDLES[:2],
    "timestamps": ["2024-01-02T09:30:00", "2024-01-02T09:35:00"],
    "prediction_timestamps": ["2024-01-02T09:40:00"],
}
_EXAMPLE_FORECAST: Any = [
    {
        "timestamp": "2024-01-05T00:00:00Z",
        "open": 100.5,
        "high": 102.0,
        "low": 99.8,
        "close": 101.2,
        "volume": 11000.0,
        "amount": 1109000.0,
    },
]

Price = Annotated[float, Field(gt=0, le=MAX_PRICE)]


class StrictModel(BaseModel):
    """Base of all request models."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Candle(StrictModel):
    """Prices and volume of one interval. Integers are fine."""

    open: Price = Field(description="First price.")
    high: Price = Field(description="Highest price, not below open or close.")
    low: Price = Field(description="Lowest price, not above open or close.")
    close: Price = Field(description="Last price.")
    volume: float | None = Field(
        default=None,
        ge=0,
        le=MAX_VOLUME,
        description="Traded volume, for all candles of a series or for none; default: 0.",
    )
    amount: float | None = Field(
        default=None,
        ge=0,
        le=MAX_AMOUNT,
        description="Traded value, for all candles of a series or for none; default: volume x mean price.",
    )


class Overrides(StrictModel):
    """How to sample the forecast. All have defaults."""

    temperature: float = Field(default=1.0, ge=0.01, le=10, description="Above 1 varies more, below 1 less.")
    top_k: int = Field(
        default=0, ge=0, le=1_000_000, description="Sample only from the k most likely tokens; 0 turns it off."
    )
    top_p: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="Sample only from the most likely tokens that together reach probability p; used if top_k is 0.",
    )
    sample_count: int = Field(default=1, ge=1, description="Paths to sample; the prediction is their mean.")
    seed: int | None = Field(
        default=None,
        ge=0,
        le=2**63 - 1,
        description="The same request and seed give the same forecast, alone or in a batch.",
    )
    quantiles: list[Annotated[float, Field(gt=0, lt=1)]] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_QUANTILES,
        description="Quantiles of the paths, returned besides the mean; with a single path all are equal.",
    )


class SingleRequest(StrictModel):
    """One series, and how far to forecast it: either ``horizon`` or ``prediction_timestamps``."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_SERIES, _EXAMPLE_OTHER]})

    series_id: str | None = Field(
        default=None, max_length=MAX_SERIES_ID_LENGTH, description="Any text; the answer repeats it."
    )
    candles: list[Candle] = Field(min_length=2, description="The history, oldest first.")
    timestamps: list[str] = Field(
        description="RFC 3339, one for each candle, in order; all with the same offset, or all without. The model "
        "sees minute, hour, weekday, day and month as written."
    )
    horizon: int | None = Field(
        default=None, ge=1, description="Candles to forecast; their times continue `timestamps` at the same step."
    )
    prediction_timestamps: list[str] | None = Field(
        default=None, min_length=1, description="Times to forecast, after `timestamps` and with the same offset."
    )
    overrides: Overrides = Field(default_factory=Overrides)


class BatchRequest(StrictModel):
    """Several series, of any lengths. If one is invalid, none is forecast."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_EXAMPLE_SERIES, _EXAMPLE_OTHER]}]})

    items: list[SingleRequest] = Field(min_length=1)


class ForecastCandle(BaseModel):
    """One candle of a forecast: low <= open, close <= high, volume and amount not negative.

    Prices come from the model as they are: an untrained model may predict negative ones.
    """

    timestamp: str = Field(description="In the format of the request's timestamps.")
    open: float
    high: float
    low: float
    close: float
    volume: float
    amount: float


class QuantilePrediction(BaseModel):
    """One quantile of the sample paths, taken for each step and column separately."""

    quantile: float
    prediction: list[ForecastCandle]


class ItemAnswer(BaseModel):
    """The forecast of one series."""

    series_id: str | None
    prediction: list[ForecastCandle] = Field(description="The mean of the sample paths.")
    quantiles: list[QuantilePrediction] | None = Field(
        default=None, description="One for each requested quantile, in that order; absent if none was."
    )


class _Versions(BaseModel):
    model_version: str = Field(description="The model that was used; `demo-untrained` is the built-in one.")
    tokenizer_version: str = Field(description="The tokenizer that was used.")
    request_id: str = Field(description="The X-Request-ID of this request.")


class SingleAnswer(ItemAnswer, _Versions):
    """The forecast of one series, and the model that made it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "series_id": "ACME",
                    "prediction": _EXAMPLE_FORECAST,
                    "model_version": "demo-untrained",
                    "tokenizer_version": "demo-untrained",
                    "request_id": "3f2b8c0e5d6a4b7c9e1f2a3b4c5d6e7f",
                }
            ]
        }
    )


class BatchAnswer(_Versions):
    """The forecasts of all series, in the order of the request."""

    items: list[ItemAnswer]


class InvalidPlaceDocument(BaseModel):
    """One mistake in the body."""

    pointer: str = Field(description="JSON pointer (RFC 6901) into the body; empty for the whole body.")
    reason: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="The kind of problem, as a URN: urn:kronos:problem:<kind>.")
    title: str
    status: int
    detail: str = Field(description="What went wrong, and what to do about it.")
    errors: list[InvalidPlaceDocument]
    request_id: str


class LoadedModel(BaseModel):
    """The loaded model."""

    model_version: str
    tokenizer_version: str
    model: str
    revision: str
    tokenizer: str
    tokenizer_revision: str
    device: str
    dtype: str
    max_context: int = Field(description="Longest history that the model uses, in candles.")
    parameters: int


class Limits(BaseModel):
    """What one request may ask for."""

    max_candles: int
    max_horizon: int
    max_batch_items: int
    max_samples: int
    max_work: int = Field(description="Maximum of candles x horizon x samples, summed over the series.")
    max_body_bytes: int
    time_limit_seconds: float
    rate_limit: str | None = Field(description="Requests per client; null: no limit.")


class InfoAnswer(BaseModel):
    """Version, model and limits of this instance."""

    version: str
    python: str
    torch: str
    ready: bool
    model: LoadedModel | None = Field(description="Null until the model is loaded.")
    limits: Limits


class HealthAnswer(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class ReadyAnswer(BaseModel):
    """The model is loaded, and forecasts are possible."""

    status: Literal["ready"] = "ready"
