"""The scrape as its readers ask for it: compressed, in part, or only its headers."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.service.server import Server

METRICS = "/v1/metrics"


@pytest.fixture(scope="module", params=["main", "separate"])
def scrape_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the scrape: that of the API, or its own."""
    if request.param == "main":
        server: Server = request.getfixturevalue("server")
        yield server.url + METRICS
        return
    with Server(
        tmp_path_factory.mktemp("separate"), wait="/v1/healthz", metrics_port=0, model="a", tokenizer="a"
    ) as running:
        yield f"http://127.0.0.1:{running.logged('starting')[0]['metrics_port']}{METRICS}"


def raw(url: str, accept_encoding: str | None, **headers: str) -> tuple[httpx.Headers, bytes]:
    with httpx.Client() as client:
        del client.headers["accept-encoding"]
        if accept_encoding is not None:
            headers["Accept-Encoding"] = accept_encoding
        with client.stream("GET", url, headers=headers) as answer:
            assert answer.status_code == 200
            return answer.headers, b"".join(answer.iter_raw())


@pytest.mark.parametrize("accepted", ["gzip", "zstd, gzip;q=0.5", "*", "GZIP", "br;q=1, *;q=0.1"])
@pytest.mark.parametrize("media_type", ["text/plain", "application/openmetrics-text"])
def test_compressed(scrape_url: str, accepted: str, media_type: str):
    headers, body = raw(scrape_url, accepted, Accept=media_type)
    assert headers["content-encoding"] == "gzip"
    assert headers["content-type"].startswith(media_type)
    assert "accept-encoding" in headers["vary"].lower()
    text = gzip.decompress(body)
    assert b"\nkronos_model_ready " in text
    assert len(body) < len(text) / 5


@pytest.mark.parametrize("accepted", [None, "", "identity", "gzip;q=0", "*;q=0, br", "gzip; q=0.00, *", "xgzip"])
def test_not_compressed(scrape_url: str, accepted: str | None):
    headers, body = raw(scrape_url, accepted)
    assert "content-encoding" not in headers
    assert b"\nkronos_model_ready " in body


@pytest.mark.parametrize("media_type", ["text/plain", "application/openmetrics-text"])
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["kronos_requests_total"], {"kronos_requests_total"}),
        (
            ["kronos_draining", "kronos_queue_wait_seconds_count"],
            {"kronos_draining", "kronos_queue_wait_seconds_count"},
        ),
        (["process_open_fds", "nothing"], {"process_open_fds"}),
        (["nothing"], set()),
    ],
)
def test_in_part(scrape_url: str, media_type: str, names: list[str], expected: set[str]):
    answer = httpx.get(scrape_url, params={"name[]": names}, headers={"Accept": media_type})
    assert answer.status_code == 200
    text = answer.text.removesuffix("# EOF\n")
    assert {sample.name for family in text_string_to_metric_families(text) for sample in family.samples} == expected


def test_only_its_headers(scrape_url: str):
    head = httpx.head(scrape_url)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 1000
    assert head.headers["content-encoding"] == "gzip"
    for method in ("POST", "DELETE"):
        refused = httpx.request(method, scrape_url)
        assert refused.status_code == 405
        assert "GET" in refused.headers["allow"]
