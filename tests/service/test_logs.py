"""The log of the running service."""

from __future__ import annotations

import json
import time

from tests.service.server import SINGLE, Server, series


def test_one_json_line_per_request(server: Server):
    request_id = "log-test-1"
    server.client.post(SINGLE, json=series(5, 1), headers={"X-Request-ID": request_id})
    line = _line(server, request_id)
    assert line["event"] == "request"
    assert line["level"] == "info"
    assert line["route"] == SINGLE
    assert (line["method"], line["status"], line["code"], line["client"]) == ("POST", "success", 200, "anonymous")
    assert line["duration_ms"] >= line["inference_ms"] > 0
    assert line["request_bytes"] > 0
    assert line["response_bytes"] > 0


def test_nothing_a_caller_writes_makes_a_line_of_its_own(server: Server):
    request_id = "log-test-2"
    server.client.get("/x%0a%7B%22event%22:%22forged%22%7D" + "y" * 500, headers={"X-Request-ID": request_id})
    line = _line(server, request_id)
    assert "\n" not in line["path"]
    assert len(line["path"]) < 200
    assert not server.logged("forged")


def test_everything_is_json_and_no_library_warns(server: Server):
    server.post(SINGLE, series(30, 3))
    lines = server.log_file.read_text(encoding="utf-8").splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines[:-1])
    assert [line for line in server.log() if line["logger"] == "py.warnings"] == []
    start = server.logged("starting")[0]
    assert start["settings"]["queue_capacity"] == 256
    assert start["settings"]["api_keys"] is None


def _line(server: Server, request_id: str) -> dict[str, object]:
    deadline = time.monotonic() + 5
    while True:
        found = [line for line in server.log() if line.get("request_id") == request_id]
        if found:
            assert len(found) == 1
            return found[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
