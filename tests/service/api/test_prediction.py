"""Forecasts over HTTP: what comes out for what goes in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.service.server import BATCH, SINGLE, Server, series

SEED = {"seed": 7}


def test_a_forecast_has_all_that_was_promised(server: Server):
    answer = server.post(SINGLE, series(20, horizon=4, series_id="ACME", overrides=SEED))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body.keys() == {"series_id", "prediction", "model_version", "tokenizer_version", "request_id"}
    assert body["series_id"] == "ACME"
    assert body["model_version"] == body["tokenizer_version"] == "demo-untrained"
    assert body["request_id"] == answer.headers["x-request-id"]
    assert [candle["timestamp"] for candle in body["prediction"]] == [
        f"2024-01-03T{hour:02d}:00:00Z" for hour in (5, 6, 7, 8)
    ]
    for candle in body["prediction"]:
        assert candle.keys() == {"timestamp", "open", "high", "low", "close", "volume", "amount"}


def test_every_candle_is_consistent_and_the_corrected_ones_are_counted(server: Server):
    # Prices that hardly differ: where the untrained model puts high and low is chance.
    flat = series(30, horizon=200, overrides=SEED | {"quantiles": [0.5]})
    for row, candle in enumerate(flat["candles"]):
        candle.update(open=100 + row % 3, high=102.1, low=99.9, close=102 - row % 3, volume=1)
    before = server.value("kronos_inconsistent_candles_total", route=SINGLE)
    body = server.post(SINGLE, flat).json()
    for candle in body["prediction"] + body["quantiles"][0]["prediction"]:
        assert candle["low"] <= min(candle["open"], candle["close"])
        assert candle["high"] >= max(candle["open"], candle["close"])
        assert candle["volume"] >= 0
        assert candle["amount"] >= 0
    corrected = server.value("kronos_inconsistent_candles_total", route=SINGLE) - before
    assert 0 < corrected <= 200


def test_same_seed_same_forecast_alone_again_and_in_a_batch(server: Server):
    first = series(30, 5, overrides=SEED)
    second = series(12, 9, step=timedelta(days=1), overrides={"seed": 8})
    alone = [server.post(SINGLE, one).json()["prediction"] for one in (first, second)]
    assert server.post(SINGLE, first).json()["prediction"] == alone[0]
    batch = server.post(BATCH, {"items": [second, first]}).json()
    assert [item["prediction"] for item in batch["items"]] == alone[::-1]


def test_without_a_seed_forecasts_differ(server: Server):
    one, other = (server.post(SINGLE, series(30, 5)).json()["prediction"] for _ in range(2))
    assert one != other


def test_a_batch_answers_in_order_with_the_versions_once(server: Server):
    body = server.post(BATCH, {"items": [series(5, 1, series_id="a"), series(40, 3), series(9, 2)]}).json()
    assert body.keys() == {"items", "model_version", "tokenizer_version", "request_id"}
    assert [item["series_id"] for item in body["items"]] == ["a", None, None]
    assert [len(item["prediction"]) for item in body["items"]] == [1, 3, 2]
    assert body["model_version"] == "demo-untrained"


def test_quantiles_come_in_the_order_asked_for_and_rise(server: Server):
    overrides = SEED | {"sample_count": 8, "quantiles": [0.9, 0.1, 0.5]}
    body = server.post(SINGLE, series(30, 4, overrides=overrides)).json()
    assert [one["quantile"] for one in body["quantiles"]] == [0.9, 0.1, 0.5]
    high, low, middle = ([candle["close"] for candle in one["prediction"]] for one in body["quantiles"])
    assert all(a <= b <= c for a, b, c in zip(low, middle, high, strict=True))
    assert low != high


@pytest.mark.parametrize("override", [{"temperature": 0.2}, {"top_k": 1}, {"top_p": 0.01}, {"sample_count": 3}])
def test_every_override_has_an_effect(server: Server, override: dict[str, float]):
    plain = server.post(SINGLE, series(30, 20, overrides=SEED)).json()["prediction"]
    assert server.post(SINGLE, series(30, 20, overrides=SEED | override)).json()["prediction"] != plain


def test_the_model_sees_the_clock_as_it_is_written(server: Server):
    def forecast(suffix: str, **shift: int):
        body = series(10, horizon=40, overrides=SEED)
        local = [f"2024-03-04T{9 + row + shift.get('hours', 0):02d}:00:00{suffix}" for row in range(10)]
        answer = server.post(SINGLE, body | {"timestamps": local}).json()["prediction"]
        return [list(candle.values())[1:] for candle in answer]

    utc = forecast("Z")
    assert forecast("") == forecast("+00:00") == forecast("-05:00") == utc
    assert forecast("Z", hours=1) != utc


@pytest.mark.parametrize(
    ("past", "future"),
    [
        (["2024-01-31T23:00:00Z", "2024-02-01T00:00:00Z"], "2024-02-01T01:00:00Z"),
        (["2024-01-31T23:00:00+00:00", "2024-02-01T00:00:00+00:00"], "2024-02-01T01:00:00+00:00"),
        (["2024-01-31T23:00:00-05:30", "2024-02-01T00:00:00-05:30"], "2024-02-01T01:00:00-05:30"),
        (["2024-01-31T23:00:00", "2024-02-01T00:00:00"], "2024-02-01T01:00:00"),
        (["2024-01-31t23:00:00.000z", "2024-02-01t00:00:00.500z"], "2024-02-01t01:00:01.000z"),
        (["2024-01-31T23:00:00.250Z", "2024-01-31T23:00:01.250Z"], "2024-01-31T23:00:02.250Z"),
        (["2024-01-31T23:00:00.25Z", "2024-01-31T23:00:01.5Z"], "2024-01-31T23:00:02.750000Z"),
        (["2024-01-31T23:00:00.000Z", "2024-02-01T00:00:00.000Z"], "2024-02-01T01:00:00.000Z"),
    ],
)
def test_the_answer_writes_times_as_the_request_does(server: Server, past: list[str], future: str):
    body = series(2, horizon=1) | {"timestamps": past}
    answer = server.post(SINGLE, body)
    assert [candle["timestamp"] for candle in answer.json()["prediction"]] == [future]


def test_given_times_are_answered_letter_by_letter(server: Server):
    body = series(3)
    del body["horizon"]
    times = ["2024-01-02T18:00:00+00:00", "2024-01-02T18:30:00.25Z", "2031-12-31T23:59:59-00:00"]
    answer = server.post(SINGLE, body | {"prediction_timestamps": times})
    assert [candle["timestamp"] for candle in answer.json()["prediction"]] == times


def test_integers_nulls_and_amounts_are_welcome(server: Server):
    body = series(3, series_id=None, overrides={"seed": None, "quantiles": None}, prediction_timestamps=None)
    body["candles"] = [
        {"open": 1, "high": 2, "low": 1, "close": 2, "volume": 10**15, "amount": 15},
        {"open": 1, "high": 2, "low": 1, "close": 2, "volume": 0, "amount": 0},
        {"open": 10**12, "high": 10**12, "low": 1e-300, "close": 2, "volume": 5, "amount": 1e27},
    ]
    assert server.post(SINGLE, body).status_code == 200
    body["candles"] = [{"open": 1, "high": 2, "low": 1, "close": 2, "volume": None}] * 3
    assert server.post(SINGLE, body).status_code == 200


def test_many_requests_at_once_are_all_answered_alike(server: Server):
    request = series(40, 6, overrides=SEED)
    expected = server.post(SINGLE, request).json()["prediction"]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: server.post(SINGLE, request), range(48)))
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json()["prediction"] == expected for answer in answers)
    assert len({answer.json()["request_id"] for answer in answers}) == 48


def test_info_says_what_runs_here(server: Server):
    info = server.client.get("/v1/info").json()
    assert info["ready"] is True
    assert info["model"]["model_version"] == "demo-untrained"
    assert info["model"]["device"] == "cpu"
    assert info["model"]["max_context"] == 512
    assert info["limits"]["max_candles"] == 2048
    assert info["limits"]["rate_limit"] is None
