"""A client for the Kronos forecasting service: typed, with timeouts and retries.

Copy it into your code; it only needs httpx. `python service/examples/client.py http://localhost:8000` requests a
forecast.

It retries 429 and 503, after the time in Retry-After, and broken connections. Forecasts change nothing in the
service, so a retry is safe. It does not retry other errors: the same request would fail again, or, after a 504, be
slow again.
"""

from __future__ import annotations

import random
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import httpx

RETRIED_STATUS = frozenset({429, 503})
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Candle:
    """Prices and volume of one interval. `amount` is the traded value; set it for all candles or for none."""

    open: float
    high: float
    low: float
    close: float
    volume: float | None = None
    amount: float | None = None


@dataclass(frozen=True, slots=True)
class ForecastCandle:
    """One candle of a forecast."""

    timestamp: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    amount: float


@dataclass(frozen=True, slots=True)
class Series:
    """One series to forecast for `horizon` candles. For `overrides` see the documentation of the API."""

    candles: Sequence[Candle]
    timestamps: Sequence[datetime]
    horizon: int
    series_id: str | None = None
    overrides: Mapping[str, Any] | None = None

    def body(self) -> dict[str, Any]:
        """The request body, without fields that are None."""
        raw = {
            "candles": [_without_none(asdict(candle)) for candle in self.candles],
            "timestamps": [time.isoformat() for time in self.timestamps],
            "horizon": self.horizon,
            "series_id": self.series_id,
            "overrides": self.overrides,
        }
        return _without_none(raw)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecast of one series. Search the service's log for `request_id`."""

    series_id: str | None
    prediction: Sequence[ForecastCandle]
    model_version: str
    request_id: str


class KronosError(Exception):
    """The request failed.

    `status` is None if there was no answer; `problem` is its problem document (RFC 9457), or empty without one.
    """

    def __init__(self, status: int | None, problem: Mapping[str, Any], request_id: str, reason: str) -> None:
        super().__init__(f"{reason} (request id {request_id})")
        self.status = status
        self.problem = problem
        self.request_id = request_id


class KronosClient:
    """Requests forecasts from one service. A context manager, and thread-safe."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_seconds: float = 130.0,
        patience_seconds: float = 300.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Connects on the first request.

        `timeout_seconds` limits one try; keep it above the service's own time limit, so that its 504 arrives.
        `patience_seconds` limits all tries together, with the pauses between them. `transport` and `sleep` are for
        tests.
        """
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        timeout = httpx.Timeout(timeout_seconds, connect=5.0)
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, transport=transport)
        self._patience = patience_seconds
        self._sleep = sleep

    def forecast(self, series: Series, *, request_id: str | None = None) -> Forecast:
        """Forecast one series; raises KronosError."""
        answer = self._post("/v1/predict/single", series.body(), request_id)
        return _forecast(answer, answer)

    def forecast_batch(self, batch: Sequence[Series], *, request_id: str | None = None) -> list[Forecast]:
        """Forecast several series in one request, all or none; raises KronosError."""
        answer = self._post("/v1/predict/batch", {"items": [series.body() for series in batch]}, request_id)
        return [_forecast(item, answer) for item in answer["items"]]

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _post(self, path: str, body: Mapping[str, Any], request_id: str | None) -> dict[str, Any]:
        # One id for all tries, so that one search finds all log lines of this call.
        own_id = request_id or uuid.uuid4().hex
        deadline = time.monotonic() + self._patience
        tries = 0
        while True:
            tries += 1
            failure, retry_after = self._try(path, body, own_id)
            if isinstance(failure, dict):
                return failure
            if retry_after is None:
                raise failure
            pause = _pause(tries, retry_after)
            if time.monotonic() + pause > deadline:
                raise failure
            self._sleep(pause)

    def _try(
        self, path: str, body: Mapping[str, Any], request_id: str
    ) -> tuple[dict[str, Any] | KronosError, float | None]:
        """The answer or the error, and the seconds to wait before another try; None means don't retry."""
        try:
            response = self._http.post(path, json=body, headers={"X-Request-ID": request_id})
        except httpx.TransportError as error:
            # After our own timeout, another try would take as long.
            again = None if isinstance(error, httpx.ReadTimeout) else 0.0
            return KronosError(None, {}, request_id, f"no answer: {error}"), again
        if response.is_success:
            answer: dict[str, Any] = response.json()
            return answer, None
        problem = _problem(response)
        reason = f"{response.status_code}: {problem.get('detail', response.reason_phrase)}"
        failure = KronosError(response.status_code, problem, request_id, reason)
        if response.status_code not in RETRIED_STATUS:
            return failure, None
        return failure, retry_after_seconds(response.headers.get("Retry-After")) or 0.0


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait according to Retry-After, a number or a date (RFC 9110); None if absent or invalid."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())


def _pause(tries: int, retry_after: float) -> float:
    """At least what the service asked for, plus jitter, so that many clients don't return at once."""
    backoff = min(FIRST_PAUSE_SECONDS * 2.0 ** (tries - 1), LONGEST_PAUSE_SECONDS)
    return max(retry_after, backoff / 2) + random.uniform(0, backoff / 2)  # noqa: S311 - no secret


def _problem(response: httpx.Response) -> dict[str, Any]:
    """The problem document; empty if a proxy answered with something else."""
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _forecast(item: Mapping[str, Any], answer: Mapping[str, Any]) -> Forecast:
    return Forecast(
        series_id=item["series_id"],
        prediction=[ForecastCandle(**candle) for candle in item["prediction"]],
        model_version=answer["model_version"],
        request_id=answer["request_id"],
    )


def _without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def main(url: str) -> None:
    """Forecast three hours after a made-up day, and print them."""
    start = datetime(2026, 1, 5, tzinfo=UTC)
    candles = [Candle(100 + hour, 103 + hour, 99 + hour, 101 + hour, volume=1000) for hour in range(24)]
    times = [start + timedelta(hours=hour) for hour in range(24)]
    with KronosClient(url) as client:
        forecast = client.forecast(Series(candles, times, horizon=3))
    print(f"{forecast.model_version}, request id {forecast.request_id}")  # noqa: T201 - the output of main
    for candle in forecast.prediction:
        print(candle)  # noqa: T201 - as above


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["http://localhost:8000"]))
