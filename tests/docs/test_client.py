"""The example client: against the real service, and against answers that the service gives seldom."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.service.server import ROOT, Server, wait_until

FILE = ROOT / "service" / "examples" / "client.py"


def load_example():
    spec = importlib.util.spec_from_file_location("example_client", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


example = load_example()


def series(**members):
    start = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
    candles = [example.Candle(10, 12, 9, 11, volume=100), example.Candle(11, 13, 10, 12, volume=90)]
    return example.Series(candles, [start, start + timedelta(minutes=1)], 2, **members)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    keys = "shop:0123456789abcdef0123"
    with Server(tmp_path_factory.mktemp("limited"), api_keys=keys, rate_limit="2/second") as running:
        yield running


def test_a_rate_limited_client_waits_as_long_as_it_is_told(limited: Server):
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        time.sleep(seconds)

    with example.KronosClient(limited.url, api_key="0123456789abcdef0123", sleep=sleep) as client:
        forecasts = [client.forecast(series(series_id=str(number))) for number in range(5)]
    assert [forecast.series_id for forecast in forecasts] == ["0", "1", "2", "3", "4"]
    assert all(len(forecast.prediction) == 2 for forecast in forecasts)
    assert pauses
    assert min(pauses) >= 1
    assert limited.total("kronos_requests_total", status="success") == 5
    assert limited.total("kronos_rate_limited_total", client="shop") == len(pauses)


def test_a_batch_and_its_request_id_in_the_log(server: Server):
    with example.KronosClient(server.url) as client:
        first, second = client.forecast_batch(
            [series(series_id="A"), series(overrides={"seed": 1})], request_id="batch-from-the-example"
        )
    assert (first.series_id, second.series_id) == ("A", None)
    assert first.request_id == "batch-from-the-example"
    # The line follows the answer.
    wait_until(lambda: any(line.get("request_id") == "batch-from-the-example" for line in server.log()))


def test_a_wrong_request_is_not_repeated(server: Server):
    before = server.total("kronos_requests_total", status="invalid")
    with example.KronosClient(server.url) as client, pytest.raises(example.KronosError) as caught:
        client.forecast(example.Series([example.Candle(1, 1, 1, 1)], [datetime(2026, 1, 5, tzinfo=UTC)], 0))
    assert caught.value.status == 422
    assert {place["pointer"] for place in caught.value.problem["errors"]} == {"/candles", "/horizon"}
    assert server.total("kronos_requests_total", status="invalid") == before + 1


def test_a_key_that_is_not_valid(limited: Server):
    with (
        example.KronosClient(limited.url, api_key="x") as client,
        pytest.raises(example.KronosError, match="401") as caught,
    ):
        client.forecast(series())
    assert caught.value.problem["type"].endswith("unauthorized")


def test_it_runs_as_a_program(server: Server, capsys: pytest.CaptureFixture[str]):
    example.main(server.url)
    assert capsys.readouterr().out.count("ForecastCandle(") == 3


ANSWER = {
    "series_id": None,
    "prediction": [],
    "model_version": "m",
    "tokenizer_version": "t",
    "request_id": "r",
}


def scripted(*answers: httpx.Response | Exception):
    """A client whose tries get `answers` in turn, the pauses it made, and the requests it sent."""
    pauses: list[float] = []
    requests: list[httpx.Request] = []
    script = iter(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        answer = next(script)
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = example.KronosClient(
        "http://test", transport=httpx.MockTransport(handle), sleep=pauses.append, patience_seconds=100
    )
    return client, pauses, requests


def test_503_is_retried_after_the_time_it_names_with_the_same_id():
    client, pauses, requests = scripted(
        httpx.Response(503, headers={"Retry-After": "7"}, json={"detail": "full"}), httpx.Response(200, json=ANSWER)
    )
    assert client.forecast(series()).request_id == "r"
    assert len(pauses) == 1
    assert 7 <= pauses[0] < 8
    assert len({request.headers["X-Request-ID"] for request in requests}) == 1


def test_without_retry_after_the_pauses_grow():
    client, pauses, _ = scripted(*[httpx.Response(503)] * 6, httpx.Response(200, json=ANSWER))
    client.forecast(series())
    assert len(pauses) == 6
    assert all(0.25 * 2**n <= pause <= 0.5 * 2**n for n, pause in enumerate(pauses))


def test_a_broken_connection_is_retried_and_a_timeout_is_not():
    client, pauses, _ = scripted(httpx.ConnectError("refused"), httpx.Response(200, json=ANSWER))
    client.forecast(series())
    assert len(pauses) == 1
    client, pauses, _ = scripted(httpx.ReadTimeout("slow"))
    with pytest.raises(example.KronosError, match="no answer") as caught:
        client.forecast(series())
    assert caught.value.status is None
    assert not pauses


@pytest.mark.parametrize("status", [400, 401, 408, 413, 415, 422, 500, 504])
def test_other_errors_are_not_retried(status: int):
    client, pauses, _ = scripted(httpx.Response(status, headers={"Retry-After": "1"}, text="from a proxy"))
    with pytest.raises(example.KronosError) as caught:
        client.forecast(series())
    assert (caught.value.status, caught.value.problem) == (status, {})
    assert not pauses


def test_its_patience_ends():
    client, pauses, _ = scripted(httpx.Response(429, headers={"Retry-After": "3600"}, json={"detail": "slowly"}))
    with pytest.raises(example.KronosError, match="slowly"):
        client.forecast(series())
    assert not pauses


NOW = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("120", 120),
        ("Mon, 05 Jan 2026 12:00:30 GMT", 30),
        ("Mon, 05 Jan 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None):
    assert example.retry_after_seconds(header, NOW) == seconds


def test_the_example_needs_nothing_but_httpx():
    imports = [line.split()[1] for line in Path(FILE).read_text().splitlines() if line.startswith(("import", "from"))]
    assert {name for name in imports if name.partition(".")[0] not in sys.stdlib_module_names} == {"httpx"}
