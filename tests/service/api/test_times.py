"""How times may be written, and how they are answered."""

from __future__ import annotations

import pytest

from kronos_service.api.candles import InvalidSeries, prepare
from kronos_service.api.schemas import SingleRequest
from tests.service.server import series


def continued(*texts: str, horizon: int = 1) -> list[str]:
    body = series(len(texts), horizon=horizon) | {"timestamps": list(texts)}
    return prepare(SingleRequest.model_validate(body)).horizon_texts


@pytest.mark.parametrize(
    ("past", "following"),
    [
        (["2025-06-09 13:00:00", "2025-06-09 13:01:00"], "2025-06-09 13:02:00"),
        (["2025-06-09 13:00:00+00:00", "2025-06-09 13:01:00+00:00"], "2025-06-09 13:02:00+00:00"),
        (["2025-06-09T13:00", "2025-06-09T13:01"], "2025-06-09T13:02"),
        (["2025-06-09T13:00Z", "2025-06-09T13:00:30Z"], "2025-06-09T13:01:00Z"),
        (["2025-06-09T13:00:30Z", "2025-06-09T13:01Z"], "2025-06-09T13:01:30Z"),
        (["2025-06-09 13:00:00 -0500", "2025-06-09 13:01:00 -0500"], "2025-06-09 13:02:00 -0500"),
        (["2025-06-09 13:00:00+05", "2025-06-09 13:01:00+05"], "2025-06-09 13:02:00+05"),
        (["2025-06-09", "2025-06-10"], "2025-06-11"),
        (["2025-06-09", "2025-06-09T12:00:00"], "2025-06-10T00:00:00"),
        (["2025-06-09T12:00:00", "2025-06-10"], "2025-06-10T12:00:00"),
        (["2025-06-09T13:00:00.0000000Z", "2025-06-09T13:01:00.0000000Z"], "2025-06-09T13:02:00.0000000Z"),
        (["2025-06-09T13:00:00.000000000", "2025-06-09T13:00:00.250000000"], "2025-06-09T13:00:00.500000000"),
        (["2025-06-09T13:00:00.0Z", "2025-06-09T13:00:00.25Z"], "2025-06-09T13:00:00.50Z"),
        (["2025-06-09T13:00:00.1Z", "2025-06-09T13:00:00.2Z"], "2025-06-09T13:00:00.3Z"),
    ],
)
def test_the_answer_keeps_the_form_of_the_request(past: list[str], following: str):
    assert continued(*past) == [following]


def test_the_order_goes_by_the_instant_where_offsets_are_given():
    hours = ["01:00:00+02:00", "02:00:00+02:00", "02:00:00+01:00", "03:00:00+01:00"]
    times = [f"2025-10-26T{hour}" for hour in hours]
    assert continued(*times) == ["2025-10-26T04:00:00+01:00"]
    body = series(4) | {"timestamps": times}
    stamps = prepare(SingleRequest.model_validate(body)).series.stamps
    assert stamps[:, 1].tolist() == [1, 2, 2, 3], "the model sees the wall clock"

    with pytest.raises(InvalidSeries) as refusal:
        continued(*(time[:19] for time in times))
    assert [place.pointer for place in refusal.value.places] == ["/timestamps/2"]
    assert "write offsets" in refusal.value.places[0].reason


@pytest.mark.parametrize(
    "times",
    [
        ["2025-03-30T01:00:00+01:00", "2025-03-30T03:00:00+02:00", "2025-03-30T04:00:00+02:00"],
        ["2025-04-05T23:30:00+11:00", "2025-04-06T01:30:00+11:00", "2025-04-06T02:30:00+10:30"],
        ["2024-07-01T00:00:00+02:00", "2025-01-01T00:00:00+01:00", "2025-07-01T00:00:00+02:00"],
    ],
    ids=["spring", "half an hour", "summers and a winter"],
)
def test_clocks_may_change(times: list[str]):
    assert continued(*times)


def test_given_times_may_have_the_offset_of_the_next_season():
    body = series(2) | {"timestamps": ["2025-03-28T17:00:00+01:00", "2025-03-29T17:00:00+01:00"]}
    body |= {"horizon": None, "prediction_timestamps": ["2025-03-30T17:00:00+02:00"]}
    prepared = prepare(SingleRequest.model_validate(body))
    assert prepared.horizon_texts == ["2025-03-30T17:00:00+02:00"]
    assert prepared.assumed is None
