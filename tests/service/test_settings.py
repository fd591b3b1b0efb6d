"""Settings: read from the environment and .env, checked, explained; and each one has an effect."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import torch
from click.testing import Result
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from kronos_mixin import __version__
from kronos_service.app import create_app
from kronos_service.cli import app
from kronos_service.forecaster import DEMO_MODEL, DEMO_TOKENIZER
from kronos_service.settings import Settings, SettingsError, read_settings
from tests.service.server import BATCH, HANGING_SECONDS, SINGLE, Server, environment, free_port, series

ALICE, BOB, CAROL = "alice-0123456789abcdef", "bob-0123456789abcdef", "carol-0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.upper().startswith("KRONOS_"):
            monkeypatch.delenv(name)


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str, **settings: object) -> Result:
    """Run the command line, up to where the service would start."""
    for name, value in settings.items():
        monkeypatch.setenv(f"KRONOS_{name.upper()}", str(value))
    return CliRunner().invoke(app, arguments)


def test_check_config_shows_every_setting_its_source_and_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / ".env").write_text("KRONOS_MAX_CANDLES=77\nKRONOS_PORT=1234\n")
    run = command(monkeypatch, "--check-config", port=4321, api_keys="alice:topsecret")
    assert run.exit_code == 0
    assert "KRONOS_PORT=4321  (environment)" in run.stdout
    assert "KRONOS_MAX_CANDLES=77  (.env)" in run.stdout
    assert "KRONOS_MODEL=demo  (default)" in run.stdout
    assert "topsecret" not in run.output
    assert "client alice is shorter than 16" in run.stdout
    for name in Settings.model_fields:
        assert f"KRONOS_{name.upper()}=" in run.stdout


def test_wrong_settings_end_with_one_readable_message(monkeypatch: pytest.MonkeyPatch):
    run = command(monkeypatch, port=99999, queue_capacity="many", api_keys="alice")
    assert (run.exit_code, run.stdout) == (2, "")
    assert (
        "KRONOS_PORT=99999: input should be less than or equal to 65535; for example KRONOS_PORT=8000" in run.stderr
    )
    assert "KRONOS_QUEUE_CAPACITY=many" in run.stderr
    assert "KRONOS_API_KEYS=(hidden): entry 1 is not name:key" in run.stderr
    assert command(monkeypatch, "--check-config").exit_code == 2


def test_the_program_ends_with_the_exit_code_of_wrong_settings(tmp_path: Path):
    run = subprocess.run(
        [sys.executable, "-m", "kronos_service"],
        cwd=tmp_path,
        env=environment(port=99999),
        capture_output=True,
        text=True,
        timeout=HANGING_SECONDS,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.startswith("kronos_service: the settings are not valid:\n- KRONOS_PORT=99999: ")
    assert run.stderr.count("\n") == 2


def test_help_and_version(monkeypatch: pytest.MonkeyPatch):
    text = command(monkeypatch, "--help").stdout
    assert "--check-config" in text
    assert max(map(len, text.splitlines())) <= 80
    for name, field in Settings.model_fields.items():
        assert f"KRONOS_{name.upper()}" in text
        assert (field.description or "?").split()[0] in text
    assert command(monkeypatch, "--version").stdout == f"kronos_service {__version__}\n"
    assert command(monkeypatch, "--nonsense").exit_code == 2


def test_the_variable_that_kubernetes_injects_is_explained(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KRONOS_PORT", "tcp://10.0.0.7:8000")
    with pytest.raises(SettingsError, match="Service named kronos; set enableServiceLinks: false"):
        read_settings()


def test_names_that_are_no_settings_are_pointed_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("KRONOS_MAX_CANDELS", "5")
    for link in (
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_HTTP",
        "PORT_8000_TCP",
        "PORT_8000_TCP_ADDR",
        "API_PORT",
    ):
        monkeypatch.setenv(f"KRONOS_{link}", "10.0.0.7")
    (tmp_path / ".env").write_text("KRONOS_RATELIMIT=1/second\nOTHER=1\n")
    warnings = read_settings().warnings
    assert len(warnings) == 2
    assert "KRONOS_MAX_CANDELS in the environment is not a setting" in warnings[0]
    assert "did you mean KRONOS_MAX_CANDLES?" in warnings[0]
    assert "did you mean KRONOS_RATE_LIMIT?" in warnings[1]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"api_keys": "alice:a b"}, "without spaces"),
        ({"api_keys": "alice:"}, "printable"),
        ({"api_keys": "anonymous:x"}, "reserved"),
        ({"api_keys": "a/b:x"}, "not name:key"),
        ({"api_keys": "a:x,a:y"}, "twice"),
        ({"api_keys": "a:x,b:x"}, "same key"),
        ({"api_keys": "a:x,"}, "entry 2"),
        ({"api_keys": ",".join(f"c{n}:key{n}" for n in range(17))}, "at most 16 are allowed"),
        ({"rate_limit": "often"}, "<count>/<second"),
        ({"rate_limit": "0/minute"}, "1 to 100000"),
        ({"rate_limit": "1000000/day"}, "1 to 100000"),
        ({"time_limit_seconds": "301"}, "top bucket"),
        ({"time_limit_seconds": "nan"}, "KRONOS_TIME_LIMIT_SECONDS=nan"),
        ({"drain_seconds": "-1"}, "greater than or equal to 0"),
        ({"model": "somewhere"}, "KRONOS_TOKENIZER is not set"),
        ({"queue_capacity": "10"}, "never fit"),
        ({"max_bytes_in_flight": "2048"}, "never fit"),
        ({"device": "gpu"}, "cpu"),
        ({"log_level": "loud"}, "'debug', 'info'"),
        ({"log_rejections": "-1"}, "greater than or equal to 0"),
        ({"api_keys_file": "nowhere"}, "KRONOS_API_KEYS_FILE=nowhere: nowhere: No such file"),
        ({"allowed_networks": "10.0.0.1/8"}, "has host bits set; write <address>/<bits>"),
        ({"metrics_host": "127.0.0.2"}, "no effect without KRONOS_METRICS_PORT"),
        ({"port": "9000", "metrics_port": "9000"}, "are both 9000: set KRONOS_METRICS_PORT to another port"),
        ({"metrics_port": "tcp://10.0.0.7:9464"}, "Service named kronos-metrics"),
        ({"metrics_token": "a key1"}, "KRONOS_METRICS_TOKEN=(hidden): must be printable"),
        ({"shutdown_seconds": "-1"}, "greater than or equal to 0"),
        (
            {"host": "0.0.0.0:80"},
            "KRONOS_HOST=0.0.0.0:80: is not an address or a host name alone: the port is a setting",
        ),
        ({"host": "[::1]"}, "alone"),
        ({"host": "http://kronos"}, "alone"),
        ({"metrics_host": "::1:", "metrics_port": "1"}, "KRONOS_METRICS_HOST=::1:"),
        ({"trusted_proxies": "10.0.0.1/8"}, "has host bits set"),
        ({"cors_origins": "desk.example.com"}, "entry 1 is not an origin: write <scheme>://<host>"),
        ({"cors_origins": "https://a,https://b/"}, "entry 2"),
        ({"root_path": "kronos"}, "KRONOS_ROOT_PATH=kronos"),
        ({"root_path": "/kronos/"}, "for example KRONOS_ROOT_PATH=/kronos"),
        ({"keep_alive_seconds": "0"}, "greater than 0"),
    ],
)
def test_each_wrong_value_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
):
    for name, value in variables.items():
        monkeypatch.setenv(f"KRONOS_{name.upper()}", value)
    with pytest.raises(SettingsError) as refusal:
        read_settings()
    assert message in str(refusal.value)
    assert "key1" not in str(refusal.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%eth0", "localhost", "kronos-1.example.com", "my_host"])
def test_what_is_a_host(host: str):
    assert Settings(host=host).host == host


FOREIGN = {
    "PROMETHEUS_MULTIPROC_DIR": "metrics",
    "prometheus_multiproc_dir": "metrics",
    "WEB_CONCURRENCY": "auto",
    "FORWARDED_ALLOW_IPS": "*",
    "PYDANTIC_SETTINGS_DEBUG": "1",
    "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
    "OTEL_PROPAGATORS": "tracecontext,b4",
}


def test_variables_of_libraries_change_nothing(monkeypatch: pytest.MonkeyPatch):
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    said = command(monkeypatch, "--check-config", api_keys="alice:topsecret").output
    for name in FOREIGN:
        assert f"warning: {name} in the environment is ignored: " in said
        assert name not in os.environ
    assert "no package here provides b4" in said
    assert "topsecret" not in said
    monkeypatch.setenv("OTEL_PROPAGATORS", "tracecontext, baggage")
    assert "OTEL" not in command(monkeypatch, "--check-config").output


def test_keys_in_two_places_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "keys").write_text("bob:short\n")
    monkeypatch.setenv("KRONOS_API_KEYS_FILE", str(tmp_path / "keys"))
    assert read_settings().warnings == ("the key of client bob is shorter than 16 characters: make a longer one",)
    monkeypatch.setenv("KRONOS_API_KEYS", f"alice:{ALICE}")
    with pytest.raises(SettingsError, match="are both set: keep one of them"):
        read_settings()


def test_empty_is_not_set_and_case_does_not_matter(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KRONOS_RATE_LIMIT", "")
    monkeypatch.setenv("kronos_max_horizon", "9")
    monkeypatch.setenv("KRONOS_LOG_LEVEL", "DEBUG")
    effective = read_settings()
    assert effective.settings.rate_limit is None
    assert effective.settings.max_horizon == 9
    assert effective.settings.log_level == "debug"
    assert effective.sources["max_horizon"] == "environment"
    assert effective.sources["rate_limit"] == "default"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with another value for nearly every setting."""
    folder = tmp_path_factory.mktemp("tuned")
    settings = {
        "host": "127.0.0.2",
        "model": shutil.copytree(DEMO_MODEL, folder / "my-model"),
        "tokenizer": shutil.copytree(DEMO_TOKENIZER, folder / "my-tokenizer"),
        "max_context": 100,
        "compat": "float32",
        "queue_capacity": 7,
        "max_candles": 20,
        "max_horizon": 5,
        "max_batch_items": 3,
        "max_samples": 2,
        "max_work": 150,
        "max_body_bytes": 9000,
        "api_keys": f"alice:{ALICE},bob:{BOB},carol:{CAROL}",
        "rate_limit": "10/2 minute",
        "log_level": "warning",
        "log_format": "console",
    }
    # In .env, because everything else is tested through the environment.
    (folder / ".env").write_text("".join(f"KRONOS_{name.upper()}={value}\n" for name, value in settings.items()))
    port = free_port("127.0.0.2")
    with Server(folder, url=f"http://127.0.0.2:{port}", port=port) as running:
        yield running


def refused(server: Server, body: object, path: str = SINGLE) -> str:
    answer = server.post(path, body, **{"X-API-Key": CAROL})
    assert answer.status_code == 422, answer.text
    return str(answer.json()["errors"][0]["reason"])


def test_model_host_and_context_take_effect(tuned: Server):
    info = tuned.client.get("/v1/info").json()
    assert (info["model"]["model"], info["model"]["tokenizer"]) == ("my-model", "my-tokenizer")
    assert (info["model"]["max_context"], info["model"]["max_context_from"]) == (100, "setting")
    assert info["model"]["precision"] == "float32"
    assert tuned.value("kronos_queue_capacity") == 7


def test_limits_take_effect(tuned: Server):
    assert "at most 20" in refused(tuned, series(21))
    assert "at most 5" in refused(tuned, series(4, horizon=6))
    assert "at most 2" in refused(tuned, series(4, overrides={"sample_count": 3}))
    assert "at most 3" in refused(tuned, {"items": [series(2, 1)] * 4}, BATCH)
    assert "is 160: at most 150" in refused(tuned, series(20, 4, overrides={"sample_count": 2}))
    large = series(20, 5, series_id="x" * 9000)
    assert tuned.post(SINGLE, large, **{"X-API-Key": CAROL}).status_code == 413


def test_keys_and_rates_take_effect_per_client(tuned: Server):
    request = series(3, 1)
    answers = [tuned.post(SINGLE, request, **{"X-API-Key": ALICE}) for _ in range(13)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 3
    assert all(1 <= int(answer.headers["retry-after"]) <= 120 for answer in answers[10:])
    assert tuned.post(SINGLE, request, Authorization=f"bearer {BOB}").status_code == 200
    assert tuned.value("kronos_rate_limited_total", client="alice") == 3
    assert tuned.value("kronos_rate_limited_total", client="bob") == 0


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-API-Key": "wrong"}, {"X-API-Key": ALICE + "x"}, {"Authorization": f"Basic {ALICE}"}, {"X-API-Key": "ä"}],
)
def test_without_a_key_there_is_no_forecast(tuned: Server, headers: dict[str, str]):
    raw = {name: value.encode() for name, value in headers.items()}
    answer = httpx.post(f"{tuned.url}{SINGLE}", json=series(3, 1), headers=raw)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "urn:kronos:problem:unauthorized"


def test_the_log_takes_level_and_format(tuned: Server):
    text = tuned.log_file.read_text()
    assert '"level"' not in text
    assert "starting" not in text


async def started_in_process(until: Callable[[CollectorRegistry], bool]) -> CollectorRegistry:
    """The application with the environment's settings, running until ``until``."""
    registry = CollectorRegistry()
    app = create_app(registry=registry)
    async with app.router.lifespan_context(app):
        deadline = time.monotonic() + HANGING_SECONDS
        while not until(registry):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
    return registry


@pytest.mark.parametrize(
    ("variables", "outcome"),
    [
        ({"device": "cuda:99"}, "error"),
        ({"model_revision": "abc"}, "invalid"),
        ({"tokenizer_revision": "abc"}, "invalid"),
        ({"model": "nowhere", "tokenizer": "demo"}, "not_found"),
        ({"tokenizer": "nowhere"}, "not_found"),
    ],
)
def test_what_to_load_takes_effect(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], outcome: str):
    monkeypatch.setenv("KRONOS_LOAD_RETRY_SECONDS", "0.01")
    for name, value in variables.items():
        monkeypatch.setenv(f"KRONOS_{name.upper()}", value)

    def tried(registry: CollectorRegistry) -> bool:
        # With the default pause, which doubles, five tries would take two and a half minutes.
        return (registry.get_sample_value("kronos_model_loads_total", {"outcome": outcome}) or 0) >= 5

    registry = asyncio.run(started_in_process(tried))
    assert registry.get_sample_value("kronos_model_ready") == 0
    assert registry.get_sample_value("kronos_model_loads_total", {"outcome": "success"}) == 0


def test_torch_threads_take_effect(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KRONOS_TORCH_THREADS", "2")
    before = torch.get_num_threads()
    try:
        asyncio.run(started_in_process(lambda registry: registry.get_sample_value("kronos_model_ready") == 1))
        # PyTorch keeps the number per thread; a new one takes what was set last, as the model's thread does.
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(before)
