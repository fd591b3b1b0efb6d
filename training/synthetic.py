"""Made-up hourly candles: rhythms of day and week, drift, and noise that comes in clusters.

Nothing in them comes from a market, and nothing learned from them holds for one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY, WEEK = 24, 168

_MINUTES = 12
"""Prices within an hour, from which its open, high, low and close are read."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Several series of one length.

    Attributes:
        candles: [B, T, 6] float64: open, high, low, close, volume, amount.
        hours: [B, T] datetime64[h].
        stamps: [B, T, 5] int64: minute, hour, weekday, day and month, as the model reads them.
    """

    candles: NDArray[np.float64]
    hours: NDArray[np.datetime64]
    stamps: NDArray[np.int64]


def make(random: np.random.Generator, count: int, length: int) -> Batch:
    """Draw ``count`` series of ``length`` hours, each with its own start, level, rhythms, drift and noise."""
    first = np.datetime64("2020-01-01T00", "h") + random.integers(0, 6 * 365 * DAY, (count, 1))
    hours = first + np.arange(length)
    stamps = calendar(hours)
    hour = (hours.astype(np.int64))[..., None] + np.arange(_MINUTES) / _MINUTES
    day = _rhythm(hour, DAY, peak=random.normal(15, 1.5, count), second=random.uniform(0, 0.4, count))
    week = _rhythm(hour, WEEK, peak=random.normal(132, 10, count), second=random.uniform(0, 0.4, count))
    size = random.uniform([0.7, 0.2, 0.0], [1.3, 0.7, 0.5], (count, 3))
    drift = random.normal(0, 1, count)[:, None, None] * (hour - hour[:, :1, :1]) / WEEK
    shape = size[:, 0, None, None] * day + size[:, 1, None, None] * week + size[:, 2, None, None] * drift
    noise, volatility = _clustered(random, count, length)
    paths = shape + 0.16 * noise
    # Percents of a level: from calm to wild.
    scale = np.exp(random.uniform(np.log(0.003), np.log(0.03), count))
    prices = np.exp(random.uniform(0, 9, count))[:, None, None] * np.exp(scale[:, None, None] * paths)
    volume = np.exp(
        random.uniform(2, 12, count)[:, None]
        + 0.5 * day[..., 0]
        + 0.5 * np.log(volatility)
        + random.normal(0, 0.25, (count, length))
    )
    # Many who ask for forecasts send no volume.
    volume[random.random(count) < 0.25] = 0
    return Batch(np.stack([_candles(*one) for one in zip(prices, volume, strict=True)]), hours, stamps)


def calendar(hours: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Minute, hour, weekday, day and month [..., 5] of each hour."""
    days, months = hours.astype("M8[D]"), hours.astype("M8[M]")
    fields = (
        np.zeros(hours.shape, np.int64),
        (hours - days).astype(np.int64),
        (days.astype(np.int64) + 3) % 7,
        (days - months).astype(np.int64) + 1,
        months.astype(np.int64) % 12 + 1,
    )
    return np.stack(fields, axis=-1)


def _rhythm(
    hour: NDArray[np.float64], period: int, *, peak: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A wave of height 1, and a second one of half the period."""
    # The count of hours begins on a Thursday; weeks begin on Monday.
    angle = 2 * np.pi * (hour + 3 * DAY - peak[:, None, None]) / period
    wave: NDArray[np.float64] = np.cos(angle) + second[:, None, None] * np.cos(2 * angle)
    return wave


def _clustered(
    random: np.random.Generator, count: int, length: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Noise [B, T, minutes] that fades within hours, and its volatility [B, T], which changes slowly."""
    settle = 48
    swing = random.normal(0, 1, (count, settle + length))
    shocks = random.normal(0, 1, (count, settle + length, _MINUTES))
    calm = np.zeros(count)
    level = np.zeros(count)
    fade = 0.8 ** (1 / _MINUTES)
    noise, volatility = np.empty_like(shocks), np.empty_like(swing)
    for step in range(settle + length):
        calm = 0.95 * calm + 0.15 * swing[:, step]
        volatility[:, step] = np.exp(calm)
        for minute in range(_MINUTES):
            level = fade * level + volatility[:, step] * shocks[:, step, minute] / _MINUTES**0.5
            noise[:, step, minute] = level
    return noise[:, settle:], volatility[:, settle:]


def _candles(prices: NDArray[np.float64], volume: NDArray[np.float64]) -> NDArray[np.float64]:
    """Candles [T, 6] from prices [T, minutes]; a candle opens where the one before closed."""
    close = prices[:, -1]
    opened = np.concatenate((prices[:1, 0], close[:-1]))
    high, low = np.maximum(prices.max(axis=1), opened), np.minimum(prices.min(axis=1), opened)
    ohlc = np.column_stack((opened, high, low, close))
    return np.column_stack((ohlc, volume, volume * ohlc.mean(axis=1)))
