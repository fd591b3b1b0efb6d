"""The log of the running service."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pty
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from kronos_service.app import create_app
from kronos_service.forecaster import InferenceError
from kronos_service.telemetry import log_sampling, logs
from kronos_service.telemetry.fields import FIELDS
from kronos_service.telemetry.log_sampling import LogSampler, Rejection
from tests.service.server import BATCH, HANGING_SECONDS, ROOT, SINGLE, Server, environment, series, wait_until

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TIMES = ("preprocess", "queue", "inference", "tokenize", "prefill", "decode", "detokenize", "postprocess")


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that logs whatever it can, but few rejections."""
    with Server(tmp_path_factory.mktemp("talkative"), log_level="debug", log_rejections=3) as running:
        yield running


def test_one_json_line_per_request_says_whose_and_where_the_time_went(server: Server):
    request_id = "log-test-1"
    headers = {"X-Request-ID": request_id, "traceparent": f"00-{TRACE}-{SPAN}-01"}
    body = {"items": [series(5, 4, overrides={"sample_count": 3}), series(7, 2)]}
    assert server.client.post(BATCH, json=body, headers=headers).status_code == 200
    line = _line(server, request_id)
    assert list(line)[:7] == ["timestamp", "level", "logger", "event", "request_id", "trace_id", "span_id"]
    age = datetime.now(UTC) - datetime.fromisoformat(line["timestamp"])
    assert 0 <= age.total_seconds() < HANGING_SECONDS
    assert (line["level"], line["logger"], line["event"]) == ("info", "kronos.request", "request")
    assert (line["trace_id"], line["span_id"]) == (TRACE, SPAN)
    assert (line["method"], line["route"], line["status"], line["code"]) == ("POST", BATCH, "success", 200)
    assert (line["client"], line["client_address"]) == ("anonymous", "127.0.0.1")
    assert (line["batch"], line["candles"], line["horizon"], line["samples"]) == (2, 12, 4, 3)
    assert re.fullmatch("demo@[0-9a-f]{12}", line["model"])
    assert line["pid"] == server.process.pid
    assert line["container"] == os.uname().nodename
    assert line["request_bytes"] > 0
    assert line["response_bytes"] > 0
    times = {stage: line[f"{stage}_ms"] for stage in TIMES}
    assert all(value > 0 for value in times.values())
    in_stages = sum(times[stage] for stage in ("tokenize", "prefill", "decode", "detokenize"))
    assert in_stages <= 2 * times["inference"], "its two series were in the model side by side"
    parts = times["preprocess"] + times["queue"] + times["inference"] + times["postprocess"]
    assert parts <= line["duration_ms"]
    assert parts > 0.5 * line["duration_ms"]


def test_every_line_of_a_request_has_its_id_whichever_thread_writes_it(talkative: Server):
    request_id = "worker-lines"
    headers = {"X-Request-ID": request_id, "traceparent": f"00-{TRACE}-{SPAN}-00"}
    talkative.client.post(BATCH, json={"items": [series(), series()]}, headers=headers)
    wait_until(lambda: any(line.get("request_id") == request_id for line in talkative.logged("request")))
    lines = [line for line in talkative.log() if line.get("request_id") == request_id]
    *during, last = [line["event"] for line in lines]
    # Two series can be in the model side by side.
    assert (Counter(during), last) == ({"series started": 2, "series ended": 2}, "request")
    assert {line["trace_id"] for line in lines} == {TRACE}
    assert all(line["logger"] == "kronos.forecaster" for line in lines[:-1])


def test_a_refusal_says_what_the_caller_was_told(server: Server):
    body = series(8)
    body["candles"][3]["low"] = 123456.789
    answer = server.client.post(SINGLE, json=body, headers={"X-Request-ID": "refused-1"})
    line = _line(server, "refused-1")
    assert (line["level"], line["status"], line["code"]) == ("info", "invalid", 422)
    assert (line["problem"], line["stage"], line["errors"]) == ("invalid-request", "preprocess", 1)
    assert line["first_error"] == "/candles/3/low is above open or close"
    assert line["detail"] == answer.json()["detail"]
    assert "123456" not in json.dumps(line)


def test_nothing_a_caller_writes_makes_a_line_of_its_own(server: Server):
    for number, end in enumerate(("\n", "\r", "\x0b", "\x1c", "\x7f", "\x85", "\u2028", "\u2029", "\x1b[2J")):
        request_id = f"forged-{number}"
        forged = f'{end}{{"event":"forged"}}'
        path = "/x" + "".join(f"%{byte:02x}" for byte in forged.encode())
        server.client.get(path + "y" * 500, headers={"X-Request-ID": request_id})
        line = _line(server, request_id)
        assert line["path"].isprintable()
        assert len(line["path"]) < 300
        server.client.post(SINGLE, json=series() | {forged: 1}, headers={"X-Request-ID": f"{request_id}-field"})
        assert _line(server, f"{request_id}-field")["first_error"].isprintable()
    assert not server.logged("forged")


def test_no_header_that_was_not_checked_is_in_the_log(server: Server):
    evil = {
        "User-Agent": "evil-agent",
        "X-Forwarded-For": "203.0.113.77",
        "Authorization": "Bearer evil-key",
        "X-API-Key": "evil-key",
        "traceparent": f"00-{TRACE}-{SPAN}-01, evil-trace",
        "X-Request-ID": "evil id",
        "Content-Type": "evil/type",
    }
    request_id = server.client.post(SINGLE, content=b"{}", headers=evil).json()["request_id"]
    line = _line(server, request_id)
    assert "trace_id" not in line
    assert line["client_address"] == "127.0.0.1"
    text = server.log_file.read_text()
    assert "evil" not in text
    assert "203.0.113.77" not in text


def test_everything_is_json_and_no_library_warns(server: Server):
    server.post(SINGLE, series(30, 3))
    lines = server.log_file.read_text(encoding="utf-8").splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines[:-1])
    assert [line for line in server.log() if line["logger"] == "py.warnings"] == []
    start = server.logged("starting")[0]
    assert start["settings"]["queue_capacity"] == 1024
    assert start["settings"]["api_keys"] is None


def test_a_storm_of_rejections_is_sampled(talkative: Server):
    before = len(talkative.logged("request"))
    for _ in range(30):
        talkative.client.get("/nowhere")
    for _ in range(20):
        assert talkative.post(SINGLE, {}).status_code == 422
    assert talkative.post(SINGLE, series()).status_code == 200
    wait_until(lambda: talkative.logged("request")[-1]["status"] == "success")
    logged = Counter((line["route"], line["status"]) for line in talkative.logged("request")[before:])
    assert logged == {("unmatched", "invalid"): 3, (SINGLE, "invalid"): 3, (SINGLE, "success"): 1}


def test_what_is_left_out_of_a_storm_is_counted(captured: Callable[[], str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(log_sampling, "WINDOW_SECONDS", 0.2)
    logs.configure("info", "json")
    refused = Rejection(SINGLE, "invalid", 422, "invalid-request")

    async def storm() -> None:
        sampled = LogSampler(limit=3)
        may = [sampled.may_log(refused, "alice" if number < 10 else "bob") for number in range(15)]
        assert may == [True] * 3 + [False] * 12
        assert sampled.may_log(refused._replace(code=400), "bob"), "another kind has lines of its own"
        await asyncio.sleep(0.4)
        assert sampled.may_log(refused, "bob"), "a new window"
        assert not LogSampler(limit=0).may_log(refused, "bob")
        for _ in range(4):
            sampled.may_log(refused, "bob")
        # What the end of the service finds open is said as well.
        sampled.close()

    asyncio.run(storm())
    first, second = (json.loads(line) for line in captured().splitlines())
    assert (first["event"], first["level"], first["left_out"]) == ("requests left out", "warning", 12)
    assert first["clients"] == {"alice": 7, "bob": 5}
    assert (first["route"], first["code"], first["problem"]) == (SINGLE, 422, "invalid-request")
    assert second["left_out"] == 2


def test_every_field_is_in_the_table(server: Server, talkative: Server):
    used = {name for running in (server, talkative) for line in running.log() for name in line}
    assert used <= FIELDS.keys()
    # What no running service of these tests says, is said somewhere in the code.
    sources = "".join(
        path.read_text() for path in (ROOT / "service/kronos_service").rglob("*.py") if path.name != "fields.py"
    )
    for name in FIELDS.keys() - used - {"exception"}:
        assert re.search(rf'"{name}"|\b{name}=', sources), name


def test_the_log_can_be_closed_and_the_service_lives(tmp_path: Path):
    code = "from kronos_service.telemetry import logs; import os, sys; logs.configure('info', 'json'); os.close(2);"
    code += "logs.get_logger('x').info('lost'); import logging; logging.getLogger('y').error('lost'); print('alive')"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), cwd=tmp_path, check=False
    )
    assert run.stdout == "alive\n"


@pytest.fixture
def captured(capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[Callable[[], str]]:
    """What was logged in this process since the last call."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def read() -> str:
        return capfdbinary.readouterr().err.decode()

    yield read
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_libraries_lines_have_the_same_format(captured: Callable[[], str]):
    logs.configure("info", "json")
    logs.get_logger("ours").info("event", seconds=1)
    logging.getLogger("theirs").warning("a %s\nb", "c", extra={"seconds": 2, "secret": "x"})
    try:
        raise ValueError("why" * 10_000)
    except ValueError as error:
        logging.getLogger("theirs").exception("failed")
        logs.get_logger("ours").error("failed", exc_info=error)
    ours, theirs, *failed = (json.loads(line) for line in captured().splitlines())
    assert list(ours) == ["timestamp", "level", "logger", "event", "seconds", "container", "pid"]
    assert theirs.keys() == ours.keys()
    assert (theirs["event"], theirs["seconds"], theirs["logger"]) == ("a c\nb", 2, "theirs")
    for line in failed:
        assert len(line["exception"]) == 16_384
        assert line["exception"].endswith("why")
        assert line["level"] == "error"


async def _divide(_scope: Scope, _receive: Receive, send: Send) -> None:
    try:
        await send({"type": 1 / 0})
    except ZeroDivisionError as error:
        raise InferenceError("the model failed") from error


def test_the_line_of_a_500_says_where_the_first_cause_is_and_has_the_stack(captured: Callable[[], str]):
    logs.configure("info", "json")
    app = create_app()
    app.router.routes.insert(0, Mount("", _divide))
    # Not as a context: no model is loaded, and so the gate would let no POST pass.
    answer = TestClient(app).get(SINGLE)
    assert answer.status_code == 500
    [line] = [line for line in map(json.loads, captured().splitlines()) if line["event"] == "request"]
    assert (line["level"], line["code"], line["status"]) == ("error", 500, "error")
    assert line["request_id"] == answer.json()["request_id"]
    assert (line["error_type"], line["problem"]) == ("inference", "inference")
    place = _divide.__code__.co_firstlineno + 2
    file = "/".join(Path(__file__).parts[-3:])
    assert line["where"] == f"{file}:{place} in _divide"
    assert "ZeroDivisionError: division by zero" in line["exception"]
    assert line["exception"].endswith("InferenceError: the model failed")


def test_what_json_cannot_say_is_said_otherwise(captured: Callable[[], str]):
    logs.configure("info", "json")
    logs.get_logger("ours").info("half \ud800", seconds=2**70, names={"a"})
    logs.get_logger("ours").info("ends", reason="\u2028\u2029\x85\x7f")
    first, second = captured().splitlines()
    assert json.loads(first)["seconds"] == 2**70
    assert json.loads(second)["reason"] == "\u2028\u2029\x85\x7f"


def test_the_console_format_is_for_people_and_for_one_line_each(captured: Callable[[], str]):
    logs.configure("warning", "console")
    logs.get_logger("ours").info("not this")
    logs.get_logger("ours").warning("event", detail="a\x1b[2J\nb")
    logging.getLogger("theirs").warning("their\nevent")
    first, second = captured().splitlines()
    assert "event" in first
    assert "\x1b[2J" not in first
    assert "their\\nevent" in second


@pytest.mark.parametrize(
    ("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)]
)
def test_the_console_format_is_coloured_on_a_terminal_unless_the_user_wants_none(
    tmp_path: Path, variables: dict[str, str], coloured: bool
):
    code = "from kronos_service.telemetry import logs; logs.configure('info', 'console')\n"
    code += "logs.get_logger('x').info('hello')"
    plain = {name: value for name, value in environment().items() if name != "NO_COLOR"}
    screen, terminal = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stderr=terminal, env=plain | variables, cwd=tmp_path, check=True)
    line = os.read(screen, 4096)
    os.close(screen)
    os.close(terminal)
    assert b"hello" in line
    assert (b"\x1b[" in line) is coloured


def _line(server: Server, request_id: str) -> dict[str, Any]:
    """The one line with this id, which comes after the answer."""
    wait_until(lambda: any(line.get("request_id") == request_id for line in server.log()))
    (line,) = [line for line in server.log() if line.get("request_id") == request_id]
    return line
