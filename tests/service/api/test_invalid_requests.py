"""Requests that are wrong: refused with every place and reason, never with a 5xx."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.service.server import BATCH, SINGLE, Server, series


def places(answer: Any) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return {place["pointer"]: place["reason"] for place in answer.json()["errors"]}


def broken(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    body = series(8)
    change(body)
    return body


def candle(row: int, **members: Any) -> Callable[[dict[str, Any]], object]:
    return lambda body: body["candles"][row].update(members)


def stamp(row: int, text: Any, member: str = "timestamps") -> Callable[[dict[str, Any]], object]:
    return lambda body: body[member].__setitem__(row, text)


def future(*times: Any) -> Callable[[dict[str, Any]], object]:
    return lambda body: body.update(horizon=None, prediction_timestamps=list(times))


NAN, INFINITY = float("nan"), float("inf")
CASES: dict[str, tuple[Callable[[dict[str, Any]], object], str, str]] = {
    "NaN": (candle(7, high=NAN), "/candles/7/high", "finite"),
    "infinity": (candle(7, close=INFINITY), "/candles/7/close", "finite"),
    "minus infinity": (candle(0, low=-INFINITY), "/candles/0/low", "finite"),
    "infinite volume": (candle(0, volume=INFINITY), "/candles/0/volume", "finite"),
    "huge negative price": (candle(1, low=-1e13), "/candles/1/low", "greater than or equal"),
    "negative price above the close": (candle(1, low=-1.0, close=-2.0), "/candles/1/low", "above open or close"),
    "negative volume": (candle(1, volume=-1), "/candles/1/volume", "greater than or equal to 0"),
    "negative amount": (candle(1, amount=-0.5), "/candles/1/amount", "greater than or equal to 0"),
    "huge price": (candle(1, high=1e13), "/candles/1/high", "less than or equal"),
    "largest float": (candle(1, high=1.7976931348623157e308), "/candles/1/high", "less than or equal"),
    "larger than any float": (candle(1, high=10**400), "/candles/1/high", ""),
    "huge volume": (candle(1, volume=1e16), "/candles/1/volume", "less than or equal"),
    "price as text": (candle(2, open="1"), "/candles/2/open", "number"),
    "price as boolean": (candle(2, open=True), "/candles/2/open", "number"),
    "price as null": (candle(2, open=None), "/candles/2/open", "number"),
    "price as list": (candle(2, open=[1]), "/candles/2/open", "number"),
    "no close": (lambda body: body["candles"][3].pop("close"), "/candles/3/close", "missing"),
    "unknown in a candle": (candle(3, price=1), "/candles/3/price", "not a known field"),
    "unknown at the top": (lambda body: body.update(seed=1), "/seed", "not a known field"),
    "unknown override": (lambda body: body.update(overrides={"seeds": 1}), "/overrides/seeds", "not a known field"),
    "pointer escapes": (lambda body: body.update({"a/b~c": 1}), "/a~1b~0c", "not a known field"),
    "low above close": (candle(4, low=104.5), "/candles/4/low", "above open or close"),
    "high below open": (candle(4, high=100.5), "/candles/4/high", "below open or close"),
    "high below low": (candle(4, high=90.0), "/candles/4/high", "below open or close"),
    "volume missing in one": (lambda body: body["candles"][5].pop("volume"), "/candles/5/volume", "missing"),
    "amount in one": (candle(5, amount=1.0), "/candles/0/amount", "missing"),
    "candle is a number": (lambda body: body["candles"].__setitem__(0, 5), "/candles/0", "object"),
    "candles is an object": (lambda body: body.update(candles={}), "/candles", "list"),
    "no candles": (lambda body: body.update(candles=[], timestamps=[]), "/candles", "at least 2"),
    "one candle": (lambda body: body.update(series(1)), "/candles", "at least 2"),
    "too many candles": (lambda body: body.update(series(2049)), "/candles", "at most 2048"),
    "too few times": (lambda body: body["timestamps"].pop(), "/timestamps", "7 times for 8 candles"),
    "too many times": (lambda body: body["timestamps"].append("2025-01-01T00:00:00Z"), "/timestamps", "9 times"),
    "no times": (lambda body: body.pop("timestamps"), "/timestamps", "missing"),
    "time is a number": (stamp(1, 1704186000), "/timestamps/1", "string"),
    "time is no time": (stamp(1, "yesterday"), "/timestamps/1", "RFC 3339"),
    "time is empty": (stamp(1, ""), "/timestamps/1", "RFC 3339"),
    "a date among times with offsets": (stamp(0, "2024-01-02"), "/timestamps/0", "no offset"),
    "no minutes": (stamp(1, "2024-01-02T10Z"), "/timestamps/1", "RFC 3339"),
    "byte order mark": (stamp(0, "\ufeff2024-01-02T09:00:00Z"), "/timestamps/0", "byte order mark"),
    "byte order mark in a name": (
        lambda body: body.update({"\ufeffhorizon": 1}),
        "/\ufeffhorizon",
        "byte order mark",
    ),
    "offset of a day": (stamp(1, "2024-01-02T10:00:00+24:00"), "/timestamps/1", "RFC 3339"),
    "other digits": (stamp(1, "\N{ARABIC-INDIC DIGIT TWO}024-01-02T10:00:00Z"), "/timestamps/1", "RFC 3339"),
    "line break": (stamp(1, "2024-01-02T10:00:00Z\n"), "/timestamps/1", "RFC 3339"),
    "year of five digits": (stamp(7, "10000-01-02T10:00:00Z"), "/timestamps/7", "RFC 3339"),
    "year 0": (stamp(0, "0000-01-02T10:00:00Z"), "/timestamps/0", "does not exist"),
    "February 30": (stamp(1, "2024-02-30T10:00:00Z"), "/timestamps/1", "does not exist"),
    "hour 24": (stamp(1, "2024-01-02T24:00:00Z"), "/timestamps/1", "does not exist"),
    "leap second": (stamp(1, "2024-01-02T10:00:60Z"), "/timestamps/1", "does not exist"),
    "nanoseconds": (stamp(1, "2024-01-02T10:00:00.123456789Z"), "/timestamps/1", "microsecond"),
    "unsorted": (stamp(3, "2024-01-02T09:00:01Z"), "/timestamps/3", "sort by time"),
    "duplicate": (stamp(3, "2024-01-02T11:00:00Z"), "/timestamps/3", "the same as the time before"),
    "other offset": (stamp(3, "2024-01-02T13:00:00+01:00"), "/timestamps/3", "shortly before and after"),
    "offset of another place": (
        lambda body: body.update(timestamps=[*body["timestamps"][:7], "2024-01-03T01:00:00+09:00"]),
        "/timestamps/7",
        "an hour or two",
    ),
    "horizon of another place": (future("2024-01-03T09:00:00+09:00"), "/prediction_timestamps/0", "an hour or two"),
    "one without offset": (stamp(3, "2024-01-02T12:00:00"), "/timestamps/3", "no offset"),
    "horizon in another zone": (future("2024-01-03T00:00:00"), "/prediction_timestamps/0", "no offset"),
    "horizon not after the window": (future("2024-01-02T16:00:00Z"), "/prediction_timestamps/0", "not after"),
    "horizon before the window": (future("1999-01-02T16:00:00Z"), "/prediction_timestamps/0", "not after"),
    "horizon unsorted": (future("2025-01-02T16:00:00Z", "2024-05-02T16:00:00Z"), "/prediction_timestamps/1", "sort"),
    "horizon empty": (future(), "/prediction_timestamps", "at least 1"),
    "horizon of too many times": (future(*["2025-01-01T00:00:00Z"] * 513), "/prediction_timestamps", "at most 512"),
    "neither horizon": (lambda body: body.pop("horizon"), "", "either"),
    "both horizons": (
        lambda body: body.update(prediction_timestamps=["2025-01-01T00:00:00Z"]),
        "/horizon",
        "not both",
    ),
    "horizon 0": (lambda body: body.update(horizon=0), "/horizon", "greater than or equal to 1"),
    "horizon as float": (lambda body: body.update(horizon=2.0), "/horizon", "integer"),
    "horizon as text": (lambda body: body.update(horizon="2"), "/horizon", "integer"),
    "horizon as boolean": (lambda body: body.update(horizon=True), "/horizon", "integer"),
    "horizon too long": (lambda body: body.update(horizon=513), "/horizon", "at most 512"),
    "horizon absurd": (lambda body: body.update(horizon=10**30), "/horizon", "at most 512"),
    "past the last year": (
        lambda body: body.update(timestamps=[f"9999-12-31T{hour:02d}:00:00Z" for hour in range(16, 24)]),
        "/horizon",
        "9999",
    ),
    "no samples": (lambda body: body.update(overrides={"sample_count": 0}), "/overrides/sample_count", "1"),
    "many samples": (
        lambda body: body.update(overrides={"sample_count": 33}),
        "/overrides/sample_count",
        "at most 32",
    ),
    "temperature 0": (lambda body: body.update(overrides={"temperature": 0}), "/overrides/temperature", "0.01"),
    "temperature NaN": (lambda body: body.update(overrides={"temperature": NAN}), "/overrides/temperature", "finite"),
    "top_p 0": (lambda body: body.update(overrides={"top_p": 0}), "/overrides/top_p", "greater than 0"),
    "top_p 2": (lambda body: body.update(overrides={"top_p": 2}), "/overrides/top_p", "less than or equal to 1"),
    "top_k -1": (lambda body: body.update(overrides={"top_k": -1}), "/overrides/top_k", "0"),
    "seed -1": (lambda body: body.update(overrides={"seed": -1}), "/overrides/seed", "0"),
    "seed too large": (lambda body: body.update(overrides={"seed": 2**63}), "/overrides/seed", "less than"),
    "overrides null": (lambda body: body.update(overrides=None), "/overrides", "object"),
    "quantile 0": (
        lambda body: body.update(overrides={"quantiles": [0]}),
        "/overrides/quantiles/0",
        "greater than 0",
    ),
    "quantile 1": (
        lambda body: body.update(overrides={"quantiles": [0.5, 1]}),
        "/overrides/quantiles/1",
        "less than 1",
    ),
    "ten quantiles": (
        lambda body: body.update(overrides={"quantiles": [0.5] * 10}),
        "/overrides/quantiles",
        "at most 9",
    ),
    "long id": (lambda body: body.update(series_id="x" * 129), "/series_id", "128"),
    "id is a number": (lambda body: body.update(series_id=5), "/series_id", "string"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_mistake_is_named_alone_and_in_a_batch(server: Server, case: str):
    change, pointer, reason = CASES[case]
    # json.dumps writes NaN and Infinity, as Python callers do.
    content = json.dumps(broken(change))
    answer = server.client.post(SINGLE, content=content, headers={"Content-Type": "application/json"})
    found = places(answer)
    assert reason in found[pointer]
    batch = f'{{"items": [{json.dumps(series())}, {content}]}}'
    answer = server.client.post(BATCH, content=batch, headers={"Content-Type": "application/json"})
    assert places(answer) == {f"/items/1{pointer}": reason for pointer, reason in found.items()}


def test_all_places_are_named_at_once(server: Server):
    body = series(8)
    body["candles"][1]["low"] = 500
    body["candles"][6]["high"] = 1
    body["timestamps"][3] = "2024-01-02T11:00:00Z"
    assert places(server.post(SINGLE, body)).keys() == {"/candles/1/low", "/candles/6/high", "/timestamps/3"}
    batch = {"items": [body, series(), {}, body]}
    found = places(server.post(BATCH, batch))
    assert {pointer.split("/")[2] for pointer in found} == {"0", "2", "3"}


def test_the_list_of_places_is_bounded_and_says_so(server: Server):
    body = series(2000)
    for candle_ in body["candles"]:
        candle_["high"] = 1
    answer = server.post(SINGLE, body)
    assert len(answer.json()["errors"]) == 100
    assert "first 100" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "pointer", "reason"),
    [
        ([], "", "object"),
        ("text", "", "object"),
        (None, "", "object"),
        ({}, "/items", "missing"),
        ({"items": []}, "/items", "at least 1"),
        ({"items": {}}, "/items", "list"),
        ({"items": [1]}, "/items/0", "object"),
        ({"items": [series()], "seed": 1}, "/seed", "not a known field"),
        ({"items": [series()], "partial": 1}, "/partial", "boolean"),
        ({"items": [{}] * 513}, "/items", "at most 512"),
        ({f"field{n}": n for n in range(100)}, "", "100 fields"),
    ],
)
def test_batches_that_are_none(server: Server, body: Any, pointer: str, reason: str):
    answer = server.client.post(BATCH, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert reason in places(answer)[pointer]


def test_the_work_of_a_request_is_bounded_as_a_product(server: Server):
    one = series(2048, horizon=512, overrides={"sample_count": 32})
    reason = places(server.post(BATCH, {"items": [one, one]}))[""]
    assert str(2 * 2048 * 512 * 32) in reason
    assert "50000000" in reason


@pytest.mark.parametrize(
    "body",
    [
        {"candles": [{}] * 2048},
        {"candles": [{f"f{n}": n for n in range(20)}] * 2048},
        {"candles": [{f"f{n}": n for n in range(50_000)}]},
        {"candles": list(range(2048)), "timestamps": [None] * 2048},
        {"candles": [1] * 1_000_000},
        {f"f{n}": n for n in range(200_000)},
        {"x" * 1_000_000: 1},
        {"overrides": {"quantiles": [[]] * 500_000}},
        {"overrides": {f"f{n}": n for n in range(200_000)}},
    ],
    ids=lambda body: next(iter(body))[:20],
)
def test_bodies_made_to_raise_errors_by_the_million_are_answered_shortly(server: Server, body: dict[str, Any]):
    before = server.cpu_seconds()
    answer = server.post(SINGLE, body)
    assert places(answer)
    assert len(answer.content) < 40_000
    assert server.cpu_seconds() - before < 5


def test_objects_of_too_many_fields_are_not_gone_through(server: Server):
    many = {f"f{n}": n for n in range(50_000)}
    reason = "has 50000 fields, far more than there are known ones"
    assert places(server.post(SINGLE, many)) == {"": reason}
    assert places(server.post(SINGLE, {"candles": [many]})) == {"/candles/0": reason}
    assert places(server.post(SINGLE, {"overrides": many})) == {"/overrides": reason}
    assert places(server.post(BATCH, many)) == {"": reason}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"nul",
        b'{"candles": [1,]}',
        b"{'a': 1}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b'{"series_id": "\xff"}',
        b'{"series_id": "\\ud800"}',
        "{}".encode("utf-16"),
        b"\xef\xbb\xbf",
        b'{"horizon": ' + b"9" * 100_000 + b"}",
        b"{} {}",
    ],
    ids=range(14),
)
def test_what_is_not_json_is_a_400(server: Server, content: bytes):
    answer = server.client.post(SINGLE, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:kronos:problem:malformed-json"
    assert "send UTF-8 JSON" in answer.json()["detail"]
