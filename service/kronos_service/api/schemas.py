"""The shapes of requests and answers: strict models, from which the OpenAPI document is made as well.

Strict means: no unknown fields, no strings or booleans for numbers, no NaN or infinity. What is bounded by a
setting (how many candles, items, samples) is checked in ``parsing``; what needs several fields at once (order
of times, low against high) in ``candles``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_PRICE = 1e12
MAX_VOLUME = 1e15
MAX_AMOUNT = 1e27
"""Bounds that no market reaches, chosen so that a volume times a price (which replaces a missing amount) keeps
inside them, and that squares and sums of all of them stay finite."""

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
    """Base of everything that callers send."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Candle(StrictModel):
    """One candle: what was traded in one interval. Integers are fine."""

    open: Price = Field(description="First price.")
    high: Price = Field(description="Highest price: not below open or close.")
    low: Price = Field(description="Lowest price: not above open or close.")
    close: Price = Field(description="Last price.")
    volume: float | None = Field(
        default=None,
        ge=0,
        le=MAX_VOLUME,
        description="Traded volume; in all candles of a series or in none (then 0).",
    )
    amount: float | None = Field(
        default=None,
        ge=0,
        le=MAX_AMOUNT,
        description="Traded value; in all candles of a series or in none (then volume x mean of the prices).",
    )


class Overrides(StrictModel):
    """How to draw the forecast; each has a default."""

    temperature: float = Field(default=1.0, ge=0.01, le=10, description="Over 1 wilder, under 1 tamer.")
    top_k: int = Field(
        default=0, ge=0, le=1_000_000, description="Draw from the k likeliest tokens only; 0: no such limit."
    )
    top_p: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="Draw from the likeliest tokens that make up p; only used where top_k is 0.",
    )
    sample_count: int = Field(default=1, ge=1, description="Paths to draw; the prediction is their mean.")
    seed: int | None = Field(
        default=None, ge=0, le=2**63 - 1, description="Same request and seed, same forecast, alone or in a batch."
    )
    quantiles: list[Annotated[float, Field(gt=0, lt=1)]] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_QUANTILES,
        description="Quantiles over the paths to answer beside the mean; with one path they are all that path.",
    )


class SingleRequest(StrictModel):
    """One series, and how far to forecast it: by ``horizon`` or by ``prediction_timestamps``."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_SERIES, _EXAMPLE_OTHER]})

    series_id: str | None = Field(
        default=None, max_length=MAX_SERIES_ID_LENGTH, description="Anything; the answer repeats it."
    )
    candles: list[Candle] = Field(min_length=2, description="The past, oldest first.")
    timestamps: list[str] = Field(
        description="RFC 3339, one for each candle, rising: all with the same offset, or all without. The model "
        "sees minute, hour, weekday, day and month as they are written here."
    )
    horizon: int | None = Field(
        default=None, ge=1, description="Candles to forecast; their times continue the step of `timestamps`."
    )
    prediction_timestamps: list[str] | None = Field(
        default=None, min_length=1, description="The times to forecast, in the form of `timestamps` and after them."
    )
    overrides: Overrides = Field(default_factory=Overrides)


class BatchRequest(StrictModel):
    """Many series, of any mix of lengths. One that is not valid refuses them all."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_EXAMPLE_SERIES, _EXAMPLE_OTHER]}]})

    items: list[SingleRequest] = Field(min_length=1)


class ForecastCandle(BaseModel):
    """One candle of a forecast: low <= open, close <= high, volume and amount not negative.

    Prices are as the model gives them: nothing keeps an untrained model from a negative one.
    """

    timestamp: str = Field(description="In the form of the request's timestamps.")
    open: float
    high: float
    low: float
    close: float
    volume: float
    amount: float


class QuantilePrediction(BaseModel):
    """One quantile over the sample paths, taken per step and column on its own."""

    quantile: float
    prediction: list[ForecastCandle]


class ItemAnswer(BaseModel):
    """The forecast of one series."""

    series_id: str | None
    prediction: list[ForecastCandle] = Field(description="The mean of the sample paths.")
    quantiles: list[QuantilePrediction] | None = Field(
        default=None, description="One for each quantile that was asked for, in that order; else absent."
    )


class _Versions(BaseModel):
    model_version: str = Field(description="Which model forecast this; `demo-untrained` for the built-in one.")
    tokenizer_version: str = Field(description="Which tokenizer it used.")
    request_id: str = Field(description="The X-Request-ID of this request.")


class SingleAnswer(ItemAnswer, _Versions):
    """The forecast of one series, and what made it."""

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
    """One wrong place of the body."""

    pointer: str = Field(description="JSON pointer (RFC 6901) into the body; empty for the whole body.")
    reason: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="The kind of problem, as a URN: urn:kronos:problem:<kind>.")
    title: str
    status: int
    detail: str = Field(description="What happened to this request, and what to do.")
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
    max_context: int = Field(description="Most candles that the model looks back on.")
    parameters: int


class Limits(BaseModel):
    """What one request may ask for."""

    max_candles: int
    max_horizon: int
    max_batch_items: int
    max_samples: int
    max_work: int = Field(description="Most candles x horizon x samples, summed over the series.")
    max_body_bytes: int
    time_limit_seconds: float
    rate_limit: str | None = Field(description="Requests per client; null: no limit.")


class InfoAnswer(BaseModel):
    """What runs here."""

    version: str
    python: str
    torch: str
    ready: bool
    model: LoadedModel | None = Field(description="Null until the model is loaded.")
    limits: Limits


class HealthAnswer(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class ReadyAnswer(BaseModel):
    """Forecasts are possible."""

    status: Literal["ready"] = "ready"
