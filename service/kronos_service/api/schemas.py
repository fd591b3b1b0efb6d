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

Price = Annotated[float, Field(ge=-MAX_PRICE, le=MAX_PRICE)]


class StrictModel(BaseModel):
    """Base of all request models."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Candle(StrictModel):
    """Prices and volume of one interval. Integers are fine.

    Prices may be 0 or negative: shares adjusted for dividends, power and oil are at times.
    """

    open: Price = Field(description="First price.")
    high: Price = Field(description="Highest price, not below open or close by more than a millionth.")
    low: Price = Field(description="Lowest price, not above open or close by more than a millionth.")
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
    probabilities: bool = Field(
        default=False,
        description="Return how likely close is to rise, at each step: the share of paths in which it does.",
    )
    paths: bool = Field(
        default=False,
        description="Return every path. In the limit of the work, the series then counts as 512 candles or more.",
    )


class SingleRequest(StrictModel):
    """One series, and how far to forecast it: either ``horizon`` or ``prediction_timestamps``."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_SERIES, _EXAMPLE_OTHER]})

    series_id: str | None = Field(
        default=None, max_length=MAX_SERIES_ID_LENGTH, description="Any text; the answer repeats it."
    )
    candles: list[Candle] = Field(min_length=2, description="The history, oldest first.")
    timestamps: list[str] = Field(
        description="RFC 3339, one for each candle, in order; a blank for T, no seconds and a date alone are fine. "
        "All have an offset, which may change with the clocks, or none has. The model sees minute, hour, weekday, "
        "day and month as written."
    )
    horizon: int | None = Field(
        default=None,
        ge=1,
        description="Candles to forecast; the answer says in `assumed` how their times continue `timestamps`.",
    )
    prediction_timestamps: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Times to forecast, after `timestamps`, with offsets if those have them.",
    )
    overrides: Overrides = Field(default_factory=Overrides)


class BatchRequest(StrictModel):
    """Several series, of any lengths. If one is invalid, none is forecast, unless `partial` is true."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [_EXAMPLE_SERIES, _EXAMPLE_OTHER]}]})

    items: list[SingleRequest] = Field(min_length=1)
    partial: bool = Field(
        default=False,
        description="Forecast the valid series if others are invalid; those get a `problem` in the answer. If all "
        "are invalid, or the model fails, the batch fails as a whole.",
    )


class ForecastCandle(BaseModel):
    """One candle of a forecast: low <= open, close <= high, volume and amount not negative.

    Prices come from the model as they are: near 0 it may predict negative ones.
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


class Break(BaseModel):
    """A time without trading: the last candle before it and the first one after it, on the clock of the series."""

    after: str = Field(description="Such as 15:30, or Fri 16:00 for a break on one weekday only.")
    next: str


class Session(BaseModel):
    """When candles are expected."""

    weekdays: list[str] = Field(description="Days with trading, such as Mon.")
    breaks: list[Break]


class Assumed(BaseModel):
    """How the times of a forecast continue those of the history. If it is wrong, send `prediction_timestamps`."""

    step: str = Field(description="From one candle to the next, as an ISO 8601 duration.")
    day: str | None = Field(
        description="The day that candles are on: if the step is a week, such as Fri; if it is months, such as 15, "
        "last, last weekday or third Friday."
    )
    session: Session | None = Field(description="Null: candles follow each other without a break.")


class Probability(BaseModel):
    """How likely the close of one step is to be higher; with few paths, only roughly."""

    timestamp: str
    above_last: float = Field(description="Than the last close of the history.")
    rises: float = Field(description="Than the close of the step before.")


class ItemAnswer(BaseModel):
    """The forecast of one series."""

    series_id: str | None
    prediction: list[ForecastCandle] = Field(description="The mean of the sample paths.")
    candles_used: int = Field(
        description="Candles that the model saw: the newest ones, if there were more than its context holds. All of "
        "them count in the scale of the prices."
    )
    assumed: Assumed | None = Field(default=None, description="Absent if the request gave `prediction_timestamps`.")
    quantiles: list[QuantilePrediction] | None = Field(
        default=None, description="One for each requested quantile, in that order; absent if none was."
    )
    probabilities: list[Probability] | None = Field(default=None, description="Absent unless requested.")
    paths: list[list[ForecastCandle]] | None = Field(default=None, description="Absent unless requested.")


class _Versions(BaseModel):
    model_version: str = Field(
        description="The model that was used; `demo` is built in, and knows nothing of markets."
    )
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
                    "model_version": "demo",
                    "tokenizer_version": "demo-tokenizer",
                    "request_id": "3f2b8c0e5d6a4b7c9e1f2a3b4c5d6e7f",
                }
            ]
        }
    )


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


class RefusedItem(BaseModel):
    """A series of a batch that asked for partial success, and what is wrong with it."""

    series_id: str | None
    problem: Problem


class BatchAnswer(_Versions):
    """The forecasts of all series, in the order of the request."""

    items: list[ItemAnswer | RefusedItem] = Field(description="With `partial`, some may be refused.")


class LoadedModel(BaseModel):
    """The loaded model."""

    model_version: str
    tokenizer_version: str
    model: str
    revision: str = Field(description="Commit on the hub, or of a folder the start of the SHA-256 sum of its files.")
    tokenizer: str
    tokenizer_revision: str
    device: str
    dtype: str
    max_context: int = Field(description="Longest history that the model uses, in candles.")
    max_context_from: str = Field(
        description="`setting`, or `size` if it is that of the published model of the same size."
    )
    precision: str = Field(description="In which candles are normalised: `float64`, or `float32` as the reference.")
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
