"""Forecasts over HTTP: what comes out for what goes in."""

from __future__ import annotations

import json
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
    versions = {"model_version", "tokenizer_version", "request_id"}
    assert body.keys() == {"series_id", "prediction", "candles_used", "assumed"} | versions
    assert body["series_id"] == "ACME"
    assert body["candles_used"] == 20
    assert body["assumed"] == {"step": "PT1H", "day": None, "session": None}
    assert body["model_version"].startswith("demo@")
    assert body["tokenizer_version"].startswith("demo-tokenizer@")
    assert body["request_id"] == answer.headers["x-request-id"]
    assert [candle["timestamp"] for candle in body["prediction"]] == [
        f"2024-01-03T{hour:02d}:00:00Z" for hour in (5, 6, 7, 8)
    ]
    for candle in body["prediction"]:
        assert candle.keys() == {"timestamp", "open", "high", "low", "close", "volume", "amount"}


def test_every_candle_is_consistent_and_the_corrected_ones_are_counted(server: Server):
    # Prices that hardly differ: where the demo model puts high and low is chance.
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
    assert body["model_version"].startswith("demo@")


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
        (["2024-01-31 23:00", "2024-02-01"], "2024-02-01 01:00"),
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
    assert info["model"]["model_version"] == f"demo@{info['model']['revision']}"
    assert info["model"]["device"] == "cpu"
    assert (info["model"]["max_context"], info["model"]["max_context_from"]) == (512, "size")
    assert info["model"]["precision"] == "float64"
    assert info["limits"]["max_candles"] == 2048
    assert info["limits"]["rate_limit"] is None


def test_probabilities_and_paths_are_those_of_the_samples(server: Server):
    overrides = SEED | {"sample_count": 4, "probabilities": True, "paths": True}
    body = series(27, 12, overrides=overrides)
    answer = server.post(SINGLE, body).json()
    closes = [[candle["close"] for candle in path] for path in answer["paths"]]
    assert len(closes) == 4
    times = [candle["timestamp"] for candle in answer["prediction"]]
    assert [one["timestamp"] for one in answer["probabilities"]] == times
    last = body["candles"][-1]["close"]
    for step, (now, one) in enumerate(zip(zip(*closes, strict=True), answer["probabilities"], strict=True)):
        before = [path[step - 1] if step else last for path in closes]
        assert one["above_last"] == sum(close > last for close in now) / 4
        assert one["rises"] == sum(close > earlier for close, earlier in zip(now, before, strict=True)) / 4
        assert answer["prediction"][step]["close"] == pytest.approx(sum(now) / 4)
    for candle in (candle for path in answer["paths"] for candle in path):
        assert candle["low"] <= min(candle["open"], candle["close"])
    assert len({one["above_last"] for one in answer["probabilities"]}) > 1, (
        "the forecast says little about the shares"
    )


def test_answered_paths_are_within_the_work_limit(server: Server):
    short = series(2, horizon=512, overrides={"sample_count": 32})
    answer = server.post(BATCH, {"items": [short | {"overrides": short["overrides"] | {"paths": True}}] * 6})
    assert answer.status_code == 422
    assert str(6 * 512 * 512 * 32) in answer.json()["errors"][0]["reason"]


def test_the_answer_says_how_much_of_the_history_was_used(server: Server):
    answer = server.post(BATCH, {"items": [series(600, 1), series(512, 1)]}).json()
    assert [item["candles_used"] for item in answer["items"]] == [512, 512]


def test_a_batch_may_succeed_in_part(server: Server):
    good, bad = series(12, 2, series_id="good", overrides=SEED), series(8, 2, series_id="bad")
    bad["candles"][3]["high"] = 1
    before = server.value("kronos_refused_series_total")
    answer = server.post(BATCH, {"items": [bad, good, {"series_id": 5}], "partial": True})
    assert answer.status_code == 200
    first, second, third = answer.json()["items"]
    assert second["prediction"] == server.post(SINGLE, good).json()["prediction"]
    assert first["series_id"] == "bad"
    assert first["problem"]["status"] == 422
    assert first["problem"]["errors"][0]["pointer"] == "/items/0/candles/3/high"
    assert third["series_id"] is None
    assert {error["pointer"] for error in third["problem"]["errors"]} >= {"/items/2/series_id", "/items/2/candles"}
    assert server.value("kronos_refused_series_total") == before + 2
    assert server.logged("request")[-2]["refused"] == 2


def test_a_batch_without_any_valid_series_fails_as_a_whole(server: Server):
    answer = server.post(BATCH, {"items": [{}, series(1)], "partial": True})
    assert answer.status_code == 422
    assert {error["pointer"].split("/")[2] for error in answer.json()["errors"]} == {"0", "1"}


def test_negative_prices_are_forecast(server: Server):
    body = series(10, 2, overrides=SEED)
    for candle in body["candles"]:
        for price in ("open", "high", "low", "close"):
            candle[price] -= 200
    answer = server.post(SINGLE, body)
    assert answer.status_code == 200
    assert all(candle["amount"] >= 0 for candle in answer.json()["prediction"])


def test_input_noise_and_forecasts_below_zero_are_counted(server: Server):
    names = ("kronos_mended_candles_total", "kronos_nonpositive_candles_total")
    mended, nonpositive = (server.value(name, route=SINGLE) for name in names)
    # A crash by nine tenths: what the demo model says around the mean is soon below 0.
    body = series(20, 100, overrides=SEED)
    for row, candle in enumerate(body["candles"]):
        for price in ("open", "high", "low", "close"):
            candle[price] /= 1 if row < 2 else 5000
    body["candles"][0]["high"] = body["candles"][0]["close"] = 0.1 + 0.2 + 100
    body["candles"][0]["high"] -= 1e-13
    answer = server.post(SINGLE, body)
    assert answer.status_code == 200
    below = [candle for candle in answer.json()["prediction"] if candle["low"] <= 0]
    assert below
    assert server.value(names[0], route=SINGLE) == mended + (body["candles"][0]["high"] < 100.3)
    assert server.value(names[1], route=SINGLE) == nonpositive + len(below)


def test_a_byte_order_mark_is_ignored(server: Server):
    content = b"\xef\xbb\xbf" + json.dumps(series()).encode()
    answer = server.client.post(SINGLE, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200


def test_a_forecast_does_not_depend_on_the_unit_of_price(server: Server):
    def forecast(unit: float) -> list[list[float]]:
        body = series(60, 12, overrides=SEED | {"sample_count": 4})
        for candle in body["candles"]:
            for price in ("open", "high", "low", "close"):
                candle[price] = (12 + candle[price] / 1000) * unit
        answer = server.post(SINGLE, body).json()["prediction"]
        return [[candle[price] / unit for price in ("open", "high", "low", "close")] for candle in answer]

    ordinary = forecast(1)
    for unit in (1e-6, 1e-3, 1e-9):
        assert forecast(unit) == [pytest.approx(candle, rel=1e-6) for candle in ordinary]
