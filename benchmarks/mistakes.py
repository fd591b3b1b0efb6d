"""The mistakes of a public service for the same model, each tried on ours."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.scrape import difference, scrape
from kronos_service.api.paths import INFO_PATH, READY_PATH, SINGLE_PATH
from kronos_service.app import create_app
from kronos_service.forecaster import Forecaster, Job, ModelInfo, Series
from kronos_service.settings import Settings
from proof.servers.service import Service

_PROBLEM = "application/problem+json"
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Result:
    """What our service answered and counted, and whether that is right."""

    answered: str
    counted: str
    right: bool


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake of the other service, and a function that tries it on ours."""

    was: str
    attempt: Callable[[], Result]


def run(console: Console) -> list[str]:
    """Try every mistake; returns those that our service makes too."""
    table = Table(title="Known mistakes", title_justify="left")
    for column in ("the mistake", "here: answered", "counted"):
        table.add_column(column, overflow="fold")
    faults = []
    for mistake in MISTAKES:
        result = mistake.attempt()
        table.add_row(mistake.was, result.answered, result.counted, style=None if result.right else "red")
        if not result.right:
            faults.append(f"{mistake.was}: {result.answered}; counted {result.counted}")
    console.print(table)
    return faults


def _body(candles: int = 30, horizon: int = 2, **members: Any) -> dict[str, Any]:
    start = datetime(2026, 1, 5)
    rows = [{"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 100.0} for _ in range(candles)]
    times = [f"{(start + timedelta(hours=row)).isoformat()}Z" for row in range(candles)]
    return {"candles": rows, "timestamps": times, "horizon": horizon} | members


@contextmanager
def _counting(
    settings: dict[str, object] | None = None,
) -> Iterator[tuple[httpx.Client, Callable[[], dict[str, int]]]]:
    """A running service, and a function that returns its requests by status so far."""
    name, label = "kronos_requests_total", "status"
    with (
        Service(settings) as service,
        httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client,
    ):
        before = scrape(client).by(name, label)
        yield client, lambda: difference(before, scrape(client).by(name, label))
        service.process.check()


def _codes(answers: list[httpx.Response]) -> str:
    return ", ".join(f"{count} x {code}" for code, count in sorted(Counter(a.status_code for a in answers).items()))


def _environment() -> Result:
    given: dict[str, object] = {
        "max_candles": 100,
        "max_horizon": 7,
        "max_batch_items": 3,
        "max_samples": 2,
        "max_body_bytes": 70_000,
        "time_limit_seconds": 33.0,
    }
    with _counting(given) as (client, _):
        limits = client.get(INFO_PATH).json()["limits"]
    ignored = [name for name, value in given.items() if limits[name] != value]
    return Result(f"{len(given) - len(ignored)} of {len(given)} in force", "-", not ignored)


def _rate_limit() -> Result:
    with _counting({"rate_limit": "120/hour"}) as (client, counted):
        answers = [client.post(SINGLE_PATH, json={}) for _ in range(150)]
        counts = counted()
    waits = [answer.headers.get("Retry-After") for answer in answers if answer.status_code == 429]
    right = counts == {"invalid": 120, "rate_limited": 30} and all(wait and int(wait) > 0 for wait in waits)
    return Result(f"{_codes(answers)}, each 429 with Retry-After", str(counts), right)


def _large_body() -> Result:
    body = b'{"series_id": "' + b"x" * 60_000_000 + b'"}'
    chunks = (body[at : at + 65536] for at in range(0, len(body), 65536))
    with _counting() as (client, counted):
        answers = [client.post(SINGLE_PATH, content=body, headers=_JSON)]
        # Refused while we still send, so the connection may break before we read the answer.
        with suppress(httpx.TransportError):
            answers.append(client.post(SINGLE_PATH, content=chunks, headers=_JSON))
        counts = counted()
    right = {answer.status_code for answer in answers} == {413} and counts == {"too_large": 2}
    return Result(_codes(answers), str(counts), right)


def _header_values() -> Result:
    with _counting() as (client, counted):
        before = scrape(client)
        for number in range(3000):
            headers = {"X-Client-ID": f"client-{number}", "X-API-Key": f"key-{number}", "User-Agent": f"ua-{number}"}
            client.post(SINGLE_PATH, json={}, headers=headers)
        after, counts = scrape(client), counted()
    grown = len(after.values) - len(before.values)
    return Result(
        f"{grown} series more, a scrape of {after.size / 1000:.0f} kB",
        str(counts),
        not grown and counts == {"invalid": 3000},
    )


def _not_ready() -> Result:
    model = {"model": "/no/such/folder", "tokenizer": "/no/such/folder"}
    with (
        Service(model, ready=False) as service,
        httpx.Client(base_url=service.url, trust_env=False) as client,
    ):
        answers = [client.get(READY_PATH), client.post(SINGLE_PATH, json=_body())]
        counts = scrape(client).by("kronos_requests_total", "status")
    right = all(a.status_code == 503 and "Retry-After" in a.headers for a in answers)
    return Result(f"{_codes(answers)}, with Retry-After", str({k[0]: v for k, v in counts.items()}), right)


def _numbers(*texts: str) -> Callable[[], Result]:
    def attempt() -> Result:
        plain = _body()
        del plain["candles"][0]["close"]
        with _counting() as (client, counted):
            answers = []
            for text in texts:
                content = json.dumps(plain).replace('{"open": 10.0', f'{{"close": {text}, "open": 10.0', 1)
                answers.append(
                    client.post(SINGLE_PATH, content=content, headers={"Content-Type": "application/json"})
                )
            counts = counted()
        places = {place["pointer"] for a in answers for place in a.json().get("errors", [])}
        right = (
            {a.status_code for a in answers} == {422}
            and {a.headers["Content-Type"] for a in answers} == {_PROBLEM}
            and counts == {"invalid": len(texts)}
            and places == {"/candles/0/close"}
        )
        return Result(f"{_codes(answers)} for {', '.join(texts)}", str(counts), right)

    return attempt


def _internal_text() -> Result:
    app = create_app(Settings(), cast("Forecaster", _Broken()))
    answer = asyncio.run(_ask_app(app))
    hidden = "secret" not in answer.text and answer.headers["Content-Type"] == _PROBLEM
    return Result(f"{answer.status_code}: {answer.json()['detail']}", "-", hidden and answer.status_code == 500)


async def _ask_app(app: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post(SINGLE_PATH, json=_body())


class _Broken:
    """A forecaster with a bug."""

    ready = True
    capacity = 1
    depth = 0
    info = ModelInfo("m", "t", "r", "r", "cpu", "float32", 512, "size", "float64", 1)

    def submit(self, *_arguments: list[Series], **_options: object) -> Job:
        raise RuntimeError("secret: /root/.secret")


def _after_timeout() -> Result:
    with (
        Service({"time_limit_seconds": 1}) as service,
        httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client,
    ):
        body = _body(2000, 500, overrides={"sample_count": 32})
        answer = client.post(SINGLE_PATH, json=body)
        process = psutil.Process(service.process.pid)
        start, busy = process.cpu_times(), None
        began = time.perf_counter()
        # How long after the answer does it still use more than a tenth of a core?
        while time.perf_counter() < began + 3:
            time.sleep(0.1)
            now = process.cpu_times()
            if now.user + now.system - start.user - start.system > 0.01:
                busy = time.perf_counter() - began
            start = now
        counts = scrape(client).by("kronos_timeouts_total", "stage")
    said = f"{answer.status_code}; then busy for {busy or 0:.1f} s"
    return Result(said, str({k[0]: v for k, v in counts.items()}), answer.status_code == 504)


def _concurrency() -> Result:
    with _counting() as (client, counted), ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: client.post(SINGLE_PATH, json=_body(30 + n)), range(64)))
        counts = counted()
    return Result(f"{_codes(answers)} at concurrency 8", str(counts), counts == {"success": 64})


def _scrapes() -> Result:
    with _counting() as (client, _):
        for _number in range(40):
            client.post(SINGLE_PATH, json={})
        seen = {scrape(client).total("kronos_requests_total") for _ in range(20)}
    return Result(f"20 scrapes returned {', '.join(f'{value:.0f}' for value in seen)}", "40 sent", seen == {40.0})


def _request_id() -> Result:
    with _counting() as (client, counted):
        given = ["x" * 3000, "a b", "a%0d%0ab", "{}", "fine-1.2_3"]
        answers = [client.post(SINGLE_PATH, json={}, headers={"X-Request-ID": one}) for one in given]
        counts = counted()
    ids = [(answer.headers["X-Request-ID"], answer.json()["request_id"]) for answer in answers]
    echoed = [both == (one, one) for both, one in zip(ids, given, strict=True)]
    longest = max(len(one) for one, _ in ids)
    right = echoed == [False, False, False, False, True] and longest <= 64
    return Result(f"{sum(echoed)} of {len(given)} ids taken over, longest {longest} characters", str(counts), right)


MISTAKES = (
    Mistake("environment variables ignored, 6 of 6", _environment),
    Mistake("rate limit never enforced, 150 of 150 passed", _rate_limit),
    Mistake("a 60 MB body accepted", _large_body),
    Mistake("3,000 header values made 3,000 series and a scrape of 810 kB", _header_values),
    Mistake("readiness 200 with no model", _not_ready),
    Mistake("+Inf prices answered 200 with nulls", _numbers("Infinity", "-Infinity", "1e999", '"Infinity"')),
    Mistake("NaN prices answered 500 in plain text, uncounted", _numbers("NaN", '"NaN"', "null")),
    Mistake("422 uncounted", _numbers('"1"', "true", "-1e13", "[]", "{}")),
    Mistake("internal text in 500s", _internal_text),
    Mistake("after a 504 the thread computed on for 18 s", _after_timeout),
    Mistake("60 of 64 requests failed at concurrency 8", _concurrency),
    Mistake("with two workers 20 scrapes gave 30 or 10, never the true 40", _scrapes),
    Mistake("a 3,000-character request id echoed back", _request_id),
)
