"""Errors over real sockets: one format for every kind, and the HTTP around them."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.routing import Route

from kronos_service.api import errors
from kronos_service.api.errors import Kind, Kinds
from kronos_service.app import create_app
from kronos_service.forecaster import ForecastInvalid, InferenceError, InvalidOutput, OutOfMemory, QueueFull, Stopped
from tests.service.server import BATCH, HANGING_SECONDS, SINGLE, Server, series

JSON = {"Content-Type": "application/json"}
REQUEST = series(3, 1)


def assert_problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert list(body) == ["type", "title", "status", "detail", "errors", "request_id"]
    assert body["type"] == f"urn:kronos:problem:{slug}"
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["detail"]
    return body


def raw(server: Server, *parts: bytes, pause: float = 0, read_seconds: float = HANGING_SECONDS) -> bytes:
    """Send ``parts`` with pauses in between, and read until the server closes or says no more."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=read_seconds) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        answer = b""
        try:
            while b"}" not in answer and (chunk := connection.recv(65536)):
                answer += chunk
        except TimeoutError:
            pass
        return answer


def head(path: str = SINGLE, **headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: kronos", "Content-Type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("POST", "/v1/predict"), ("GET", "/v1/predict/single/"), ("PROPFIND", "/%00%ff/../x")],
)
def test_404(server: Server, method: str, path: str):
    assert_problem(server.client.request(method, path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", SINGLE, "POST"), ("DELETE", BATCH, "POST"), ("OPTIONS", SINGLE, "POST"), ("POST", "/v1/healthz", "GET")],
)
def test_405(server: Server, method: str, path: str, allow: str):
    answer = server.client.request(method, path)
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == allow


def test_a_websocket_is_no_way_in(server: Server):
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "eA==",
        "Sec-WebSocket-Version": "13",
    }
    assert_problem(server.client.get("/ws", headers=upgrade), 404, "not-found")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip", "x"])
def test_415_for_compressed_bodies(server: Server, encoding: str):
    body = gzip.compress(json.dumps(REQUEST).encode())
    answer = server.client.post(SINGLE, content=body, headers=JSON | {"Content-Encoding": encoding})
    assert_problem(answer, 415, "unsupported-encoding")


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=utf-16", "json"]
)
def test_415_for_what_is_not_json(server: Server, media_type: str):
    answer = server.client.post(SINGLE, content=json.dumps(REQUEST), headers={"Content-Type": media_type})
    assert_problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_by_any_of_its_names_is_fine(server: Server, media_type: str):
    answer = server.client.post(SINGLE, content=json.dumps(REQUEST), headers={"Content-Type": media_type})
    assert answer.status_code == 200


def test_413_for_a_large_body_with_a_length(server: Server):
    assert_problem(server.client.post(SINGLE, content=b" " * 60_000_000, headers=JSON), 413, "body-too-large")
    # Not even read, if the client asks before it sends.
    answer = raw(server, head(Content_Length="99999999999", Expect="100-continue"))
    assert answer.startswith(b"HTTP/1.1 413")


def test_413_for_a_large_body_without_a_length(server: Server):
    def chunks() -> Iterator[bytes]:
        for _ in range(60):
            yield b" " * 1_000_000

    assert_problem(server.client.post(SINGLE, content=chunks(), headers=JSON), 413, "body-too-large")


def chunked(body: bytes, size: int = 1000) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def test_everything_is_the_same_without_a_length(server: Server):
    def post(body: bytes, **headers: str) -> httpx.Response:
        return server.client.post(SINGLE, content=chunked(body), headers=JSON | headers)

    assert post(json.dumps(REQUEST).encode()).status_code == 200
    assert_problem(post(b"{}"), 422, "invalid-request")
    assert_problem(post(b"{"), 400, "malformed-json")
    assert_problem(post(gzip.compress(b"{}"), **{"Content-Encoding": "gzip"}), 415, "unsupported-encoding")
    too_much = series(2048, 512, overrides={"sample_count": 32})
    batch = json.dumps({"items": [too_much] * 2}).encode()
    answer = server.client.post(BATCH, content=chunked(batch, 65536), headers=JSON)
    assert "50000000" in assert_problem(answer, 422, "invalid-request")["errors"][0]["reason"]


def test_the_largest_body_is_still_read(server: Server):
    body = json.dumps(REQUEST).encode()
    answer = server.client.post(SINGLE, content=body + b" " * (16 * 2**20 - len(body)), headers=JSON)
    assert answer.status_code == 200


def test_422_and_its_places(server: Server):
    body = assert_problem(server.post(SINGLE, {}), 422, "invalid-request")
    assert {"pointer": "/candles", "reason": "is missing"} in body["errors"]


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"BREW /v1/healthz HTTP/1.1\r\nHost: kronos\r\n\r\n",
        head(Content_Length="-5"),
        head(Content_Length="5, 6"),
        head(Content_Length="5", Transfer_Encoding="chunked"),
        head(Transfer_Encoding="chunked") + b"zz\r\n",
    ],
)
def test_400_for_what_is_not_http(server: Server, request_: bytes):
    headers, _, body = raw(server, request_).partition(b"\r\n\r\n")
    assert headers.startswith(b"HTTP/1.1 400")
    assert b"content-type: application/problem+json" in headers
    assert json.loads(body)["type"] == "urn:kronos:problem:not-http"
    assert json.loads(body)["request_id"].encode() in headers


@pytest.mark.parametrize("given", ["a", "A.b_c-9", "x" * 64])
def test_a_harmless_request_id_is_kept(server: Server, given: str):
    for path, status in ((SINGLE, 200), ("/nope", 404)):
        answer = server.client.post(path, json=REQUEST, headers={"X-Request-ID": given})
        assert answer.status_code == status
        assert answer.headers.get_list("x-request-id") == [given]
        assert answer.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "x" * 5032, "a b", "<script>", "a,b", "ä", '"', "a\tb"])
def test_any_other_request_id_is_replaced(server: Server, given: str):
    answer = server.client.get("/v1/healthz", headers=[(b"X-Request-ID", given.encode())])
    assert answer.status_code == 200
    assert len(answer.headers["x-request-id"]) == 32


def test_errors_of_all_kinds_are_in_the_openapi_document_with_examples(server: Server):
    document = server.client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    for path in (SINGLE, BATCH):
        operation = document["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("Request")
        responses = operation["responses"]
        for status in ("400", "401", "405", "408", "413", "415", "422", "429", "500", "503", "504"):
            content = responses[status]["content"]
            assert list(content) == ["application/problem+json"]
            for example in content["application/problem+json"]["examples"].values():
                assert example["value"].keys() == schemas["Problem"]["properties"].keys()
                assert str(example["value"]["status"]) == status
    assert set(schemas["SingleRequest"]["required"]) == {"candles", "timestamps"}
    references = {part.split('"')[0] for part in json.dumps(document).split("#/components/schemas/")[1:]}
    assert references <= schemas.keys()


def test_the_examples_of_the_openapi_document_are_true(server: Server):
    schemas = server.client.get("/openapi.json").json()["components"]["schemas"]
    for path, schema in ((SINGLE, "SingleRequest"), (BATCH, "BatchRequest")):
        for example in schemas[schema]["examples"]:
            assert server.post(path, example).status_code == 200


class _Failing:
    """Stands where the gate stands, and fails as told: no request makes the demo model do that."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __call__(self, *_arguments: object) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InferenceError("secret"), 500, Kinds.inference),
        (OutOfMemory("secret"), 500, Kinds.out_of_memory),
        (MemoryError("secret"), 500, Kinds.out_of_memory),
        (InvalidOutput("secret"), 500, Kinds.invalid_output),
        (ZeroDivisionError("secret"), 500, Kinds.internal),
        (HTTPException(502, "secret"), 500, Kinds.internal),
        (ForecastInvalid("too much"), 422, Kinds.invalid),
        (QueueFull(5, 6, 2), 503, Kinds.overloaded),
        (Stopped("shutdown"), 503, Kinds.stopped),
    ],
    ids=lambda value: type(value).__name__,
)
def test_failures_of_the_service_keep_their_text_to_themselves(error: Exception, status: int, kind: Kind):
    answer, scrape = asyncio.run(_answer_to_failure(error))
    body = assert_problem(answer, status, kind.slug)
    assert "secret" not in answer.text
    assert body["title"] == kind.title
    assert f'kronos_requests_total{{route="{SINGLE}",status="{kind.outcome}"}} 1.0' in scrape
    if kind.error_type:
        assert f'kronos_errors_total{{route="{SINGLE}",type="{kind.error_type}"}} 1.0' in scrape
    if status == 503:
        assert answer.headers["retry-after"] == "1"


async def _answer_to_failure(error: Exception) -> tuple[httpx.Response, str]:
    app: FastAPI = create_app()
    app.router.routes.insert(0, Route("/", _Failing(error)))
    # The path that is counted, so that routing leads to the failure and the metrics see an API route.
    app.router.routes.insert(0, Route(SINGLE, _Failing(error), methods=None))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://kronos") as client:
        # GET passes the gate, which would refuse a POST until a model is loaded.
        answer = await client.get(SINGLE)
        return answer, (await client.get("/v1/metrics")).text


@pytest.mark.parametrize(("measured", "said"), [(0.0, "1"), (0.2, "1"), (12.3, "13"), (1e6, "300")])
def test_retry_after_is_what_was_measured_within_reason(measured: float, said: str):
    problem = errors.to_problem(QueueFull(5, 6, 2, retry_seconds=measured))
    assert problem.headers == {"Retry-After": said}
    assert f"try again in {said} s" in problem.detail


def test_all_kinds_are_unlike():
    kinds = [kind for kind in vars(Kinds).values() if isinstance(kind, Kind)]
    assert len({kind.slug for kind in kinds}) == len(kinds)
    assert errors.MAX_ERRORS == 100
