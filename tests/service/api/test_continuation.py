"""How times continue where the window shows a market's hours, and where it does not."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest

from kronos_service.api.continuation import Assumed, continue_times
from kronos_service.api.sessions import WEEKDAYS


def following(past: Iterable[object], count: int) -> tuple[list[str], Assumed]:
    times = pd.DatetimeIndex(list(past)).as_unit("us").asi8
    found, assumed = continue_times(times, np.diff(times), count)
    return [
        str(time) for time in pd.DatetimeIndex(found.astype("datetime64[us]")).strftime("%a %m-%d %H:%M")
    ], assumed


def market(start: str, end: str, *stretches: tuple[str, str], step: str, days: str = "Mon Tue Wed Thu Fri"):
    """Candles from the first to the last time of each stretch, on ``days`` from ``start`` to ``end``."""
    return [
        time
        for day in pd.date_range(start, end)
        if WEEKDAYS[day.weekday()] in days
        for first, last in stretches
        for time in pd.date_range(day + pd.Timedelta(first), day + pd.Timedelta(last), freq=step)
    ]


HOURLY = [("09:30:00", "15:30:00")]
SHANGHAI = [("09:35:00", "11:30:00"), ("13:05:00", "15:00:00")]
FOREX = [
    time
    for time in pd.date_range("2025-06-02", "2025-06-20 15:00", freq="1h")
    if WEEKDAYS[time.weekday()] in "Mon Tue Wed Thu"
    or (time.weekday() == 4 and time.hour < 17)
    or (time.weekday() == 6 and time.hour >= 17)
]
FUTURES = [time for time in FOREX if time.hour != 17]


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        pytest.param(
            market("2025-06-02", "2025-06-05", *HOURLY, step="1h"),
            ["Fri 06-06 09:30", "Fri 06-06 10:30"],
            id="four days of an exchange",
        ),
        pytest.param(
            market("2025-06-02", "2025-06-06", *HOURLY, step="1h"),
            ["Mon 06-09 09:30", "Mon 06-09 10:30"],
            id="the weekend was not seen yet",
        ),
        pytest.param(
            market("2025-06-02", "2025-06-13", *HOURLY, step="1h")[:-2],
            ["Fri 06-13 14:30", "Fri 06-13 15:30", "Mon 06-16 09:30"],
            id="within a day, then over a weekend",
        ),
        pytest.param(
            market("2025-06-02", "2025-06-03", ("09:30:00", "15:55:00"), step="5min")[60:],
            ["Wed 06-04 09:30", "Wed 06-04 09:35"],
            id="one night seen",
        ),
        pytest.param(
            market("2025-06-02", "2025-06-06", *SHANGHAI, step="5min")[:-24],
            ["Fri 06-06 13:05", "Fri 06-06 13:10"],
            id="lunch, candles stamped with the close",
        ),
        pytest.param(
            market("2025-06-02", "2025-06-06", *SHANGHAI, step="5min"),
            ["Mon 06-09 09:35", "Mon 06-09 09:40"],
            id="the close, candles stamped with the close",
        ),
        pytest.param(
            market("2025-06-02", "2025-06-04", *SHANGHAI, step="5min")[30:-24],
            ["Wed 06-04 13:05", "Wed 06-04 13:10"],
            id="lunch seen once, in a market that closes overnight",
        ),
        pytest.param(
            market("2025-06-02", "2025-06-05", ("09:30:00", "12:45:00"), step="195min"),
            ["Fri 06-06 09:30", "Fri 06-06 12:45", "Mon 06-09 09:30"],
            id="two candles a day, 195 minutes apart",
        ),
        pytest.param(
            [
                time
                for time in market("2025-06-30", "2025-07-10", *HOURLY, step="1h")
                if not (time.day == 3 and time.hour > 12) and (time.month, time.day) != (7, 4)
            ],
            ["Fri 07-11 09:30"],
            id="half a day and a holiday",
        ),
        pytest.param(
            market("2025-06-01", "2025-06-19", ("10:00:00", "14:00:00"), step="1h", days="Sun Mon Tue Wed Thu"),
            ["Sun 06-22 10:00"],
            id="hourly, weeks from Sunday to Thursday",
        ),
        pytest.param(FOREX, ["Fri 06-20 16:00", "Sun 06-22 17:00"], id="open all week, closed on Saturday"),
        pytest.param(FOREX[:135], ["Mon 06-09 15:00", "Mon 06-09 16:00", "Mon 06-09 17:00"], id="one weekend seen"),
        pytest.param(FUTURES, ["Fri 06-20 16:00", "Sun 06-22 18:00"], id="an hour's break and weekends"),
        pytest.param(FUTURES[:62], ["Wed 06-04 16:00", "Wed 06-04 18:00"], id="an hour's break"),
        pytest.param(
            pd.date_range("2025-06-02 22:00", periods=60, freq="1h"),
            ["Thu 06-05 10:00", "Thu 06-05 11:00"],
            id="round the clock",
        ),
        pytest.param(
            ["2025-06-02 00:00", "2025-06-02 01:00", "2025-06-02 05:00", "2025-06-02 06:00"],
            ["Mon 06-02 07:00", "Mon 06-02 08:00"],
            id="a gap is no session",
        ),
        pytest.param(
            [*pd.date_range("2025-06-02", "2025-06-03 05:00", freq="1h"), pd.Timestamp("2025-06-03 09:00")],
            [f"Tue 06-03 {hour}:00" for hour in range(10, 24)] + [f"Wed 06-04 {hour:02d}:00" for hour in range(10)],
            id="an outage is not repeated",
        ),
        pytest.param(
            market("2025-03-03", "2025-03-07", ("14:30:00", "20:30:00"), step="30min")
            + market("2025-03-10", "2025-03-10", ("13:30:00", "19:30:00"), step="30min"),
            ["Tue 03-11 13:30", "Tue 03-11 14:00"],
            id="summer time begins, in UTC",
        ),
        pytest.param(
            market("2025-10-27", "2025-10-31", ("13:30:00", "19:30:00"), step="1h")
            + market("2025-11-03", "2025-11-04", ("14:30:00", "20:30:00"), step="1h")[:-1],
            ["Tue 11-04 20:30", "Wed 11-05 14:30"],
            id="summer time ends, in UTC",
        ),
        pytest.param(
            ["2025-06-02 09:30", "2025-06-02 09:35"], ["Mon 06-02 09:40", "Mon 06-02 09:45"], id="two candles"
        ),
    ],
)
def test_within_a_day(past: list[object], expected: list[str]):
    assert following(past, len(expected))[0] == expected


DAYS = pd.date_range("2025-05-01", "2025-06-06")


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        pytest.param([day for day in DAYS if day.weekday() < 5], ["06-09", "06-10"], id="business days"),
        pytest.param(
            [day for day in DAYS if day.weekday() < 5 and day.day not in {5, 26}], ["06-09", "06-10"], id="holidays"
        ),
        pytest.param(
            [day for day in DAYS if day.weekday() not in {4, 5}], ["06-08", "06-09"], id="Sunday to Thursday"
        ),
        pytest.param(DAYS, ["06-07", "06-08"], id="every day"),
        pytest.param([day for day in DAYS if day.day != 17], ["06-07", "06-08"], id="every day but one Saturday"),
        pytest.param(["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-05"], ["01-06"], id="no weekend was seen"),
        pytest.param(pd.date_range("2025-06-01", periods=5, freq="3D"), ["06-16", "06-19"], id="every third day"),
        pytest.param(
            pd.date_range("2025-06-01", periods=6, freq="36h"), ["06-10", "06-11"], id="every day and a half"
        ),
        pytest.param(pd.date_range("2025-06-01", periods=4, freq="7D"), ["06-29", "07-06"], id="weeks from Sunday"),
        pytest.param(
            ["2024-03-08", "2024-03-15", "2024-03-22", "2024-03-28"], ["04-05", "04-12"], id="Fridays and a holiday"
        ),
        pytest.param(
            [f"2025-{month:02d}-15" for month in range(1, 8)], ["08-15", "09-15", "10-15", "11-15"], id="the 15th"
        ),
        pytest.param(["2025-01-15", "2025-02-15"], ["03-15", "04-15"], id="two months"),
        pytest.param(["2024-12-30", "2025-01-30", "2025-02-28"], ["03-30", "04-30"], id="the 30th"),
        pytest.param(["2025-01-31", "2025-02-28"], ["03-31", "04-30"], id="the last day"),
        pytest.param(["2025-06-30", "2025-09-30"], ["12-31", "03-31"], id="the last day of quarters"),
        pytest.param(
            ["2024-01-31", "2024-02-29", "2024-03-28", "2024-04-30", "2024-05-31", "2024-06-28", "2024-07-31"],
            ["08-30", "09-30"],
            id="the last trading day",
        ),
        pytest.param(["2024-07-01", "2024-08-01", "2024-09-02", "2024-10-01"], ["11-01"], id="the first weekday"),
        pytest.param(["2024-01-19", "2024-02-16", "2024-03-15", "2024-04-19"], ["05-17"], id="third Fridays"),
        pytest.param(pd.date_range("2024-01-05", periods=9, freq="28D"), ["09-13", "10-11"], id="every four weeks"),
        pytest.param(pd.date_range("2024-01-01", periods=5, freq="30D"), ["05-30", "06-29"], id="every 30 days"),
        pytest.param(
            ["2024-01-15", "2024-02-15", "2024-04-15", "2024-05-15"], ["06-15", "07-15"], id="a month is missing"
        ),
        pytest.param(["2023-02-28", "2024-02-28", "2025-02-28"], ["02-28", "02-28"], id="a day of the year"),
        pytest.param(["2022-03-31", "2023-03-31"], ["03-31", "03-31"], id="a financial year"),
    ],
)
def test_days_weeks_and_months(past: list[object], expected: list[str]):
    assert [text[4:9] for text in following(past, len(expected))[0]] == expected


def test_the_hour_of_a_month_is_kept():
    past = ["2025-03-31 22:00", "2025-04-30 22:00", "2025-05-31 22:00"]
    assert following(past, 2)[0] == ["Mon 06-30 22:00", "Thu 07-31 22:00"]


def test_outages_of_a_market_that_never_closes_make_no_session():
    every = pd.date_range("2025-06-02", periods=24 * 28, freq="1h")
    missing = {(day, hour) for day in (3, 10, 14) for hour in (4, 5)} | {(20, 23), (21, 0)}
    past = [time for time in every if (time.day, time.hour) not in missing]
    assert following(past, 1)[1].document()["session"] is None


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ([16, 16, 16, 13], ["Sat 06-07 16:00", "Sun 06-08 16:00"]),
        ([16, 16, 16, 13, 16], ["Sun 06-08 16:00", "Mon 06-09 16:00"]),
        ([21, 21, 21, 20], ["Sat 06-07 20:00", "Sun 06-08 20:00"]),
    ],
    ids=["closed early", "closed early before", "summer time begins, in UTC"],
)
def test_the_hour_of_a_day(hours: list[int], expected: list[str]):
    days = pd.date_range("2025-06-03", periods=len(hours))
    past = [day + pd.Timedelta(hours=hour) for day, hour in zip(days, hours, strict=True)]
    assert following(past, 2)[0] == expected


@pytest.mark.parametrize(
    ("past", "step", "day", "session"),
    [
        (pd.date_range("2025-06-02", periods=30, freq="90s"), "PT1M30S", None, None),
        (pd.date_range("2025-06-02", periods=30, freq="250ms"), "PT0.25S", None, None),
        (pd.date_range("2025-06-02", periods=30, freq="36h"), "P1DT12H", None, None),
        (["2025-06-06", "2025-06-13"], "P7D", "Fri", None),
        (["2025-01-15", "2025-02-15"], "P1M", "15", None),
        (["2023-03-31", "2024-03-31"], "P1Y", "last", None),
        (
            market("2025-06-02", "2025-06-06", *SHANGHAI, step="5min"),
            "PT5M",
            None,
            {
                "weekdays": ["Mon", "Tue", "Wed", "Thu", "Fri"],
                "breaks": [{"after": "11:30", "next": "13:05"}, {"after": "15:00", "next": "09:35"}],
            },
        ),
        (
            FOREX,
            "PT1H",
            None,
            {
                "weekdays": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sun"],
                "breaks": [{"after": "Fri 16:00", "next": "Sun 17:00"}],
            },
        ),
    ],
)
def test_what_was_assumed_is_said(past: list[object], step: str, day: str | None, session: object):
    assert following(past, 1)[1].document() == {"step": step, "day": day, "session": session}


@pytest.mark.parametrize(
    "past",
    [
        ["9999-12-30", "9999-12-31"],
        ["0001-01-01", "9000-01-01"],
        ["9997-01-01", "9998-01-01", "9999-01-01"],
        ["9999-12-10", "9999-12-17"],
        [day for day in pd.date_range("9999-12-06", "9999-12-31", unit="us") if day.weekday() < 5],
        ["9999-12-31 23:00", "9999-12-31 23:30"],
    ],
    ids=["days", "ages", "years", "weeks", "business days", "hours"],
)
def test_no_time_is_past_the_last_year(past: list[object]):
    with pytest.raises(OverflowError, match="10000"):
        following(past, 512)


def test_any_series_continues_in_order():
    random = np.random.default_rng(0)
    for _ in range(300):
        step = int(random.choice([1, 60, 300, 3600, 86_400])) * 1_000_000
        gaps = step * random.choice([1, 1, 1, 2, 7, 40], 60)
        times = np.concatenate(([0], np.cumsum(gaps))) + int(random.integers(1e15))
        found, assumed = continue_times(times, np.diff(times), 50)
        assert (np.diff(np.concatenate((times[-1:], found))) > 0).all()
        assert assumed.document()
