"""The command line, run as a user runs it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kronos_mixin.contract import mixin_path

ROOT = mixin_path().parent


@pytest.fixture
def run(tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "build.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=60)

    return run


def test_compile_from_any_folder_gives_what_is_committed(run, tmp_path):
    done = run("compile")
    assert done.returncode == 0, done.stderr
    written = [line for line in done.stdout.splitlines() if line]
    assert {Path(name).parts[1] for name in written} == {"alertmanager", "grafana", "prometheus"}
    for name in written:
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()
    assert run("check").stdout.endswith("nothing found\n")


def test_check_without_compiled_files(run):
    done = run("check")
    assert done.returncode == 1
    assert "is missing in monitoring: run `python build.py compile`" in done.stdout


def test_config_files_are_laid_over_each_other(run, tmp_path):
    (tmp_path / "a.yml").write_text("kronos: {rateWindow: 1m, alerts: {KronosHighLatency: {threshold: '0.2'}}}")
    (tmp_path / "b.yml").write_text("kronos: {alerts: {KronosHighLatency: {for: 1m}}}")
    assert run("compile", "--config", "a.yml", "--config", "b.yml").returncode == 0
    alerts = (tmp_path / "monitoring/prometheus/kronos-alerts.yml").read_text()
    assert "slow:ratio_rate1m" in alerts
    assert "> 0.2" in alerts
    assert run("check", "--config", "a.yml", "--config", "b.yml").returncode == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kronos: {rateWindw: 1m}", "No such knob: _config.kronos.rateWindw"),
        (
            "kronos: {objectives: {latency: {seconds: {/v1/predict/single: '4.0'}}}}",
            "my.yml:1: _config.kronos.objectives.latency",
        ),
        ("kronos: [", "my.yml:1: is not YAML"),
        ("- kronos", "my.yml: must hold an object"),
    ],
)
def test_a_wrong_config_is_one_readable_line(run, tmp_path, text, message):
    (tmp_path / "my.yml").write_text(text)
    done = run("compile", "--config", "my.yml")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "monitoring").exists()


def test_a_config_that_is_not_there(run):
    done = run("compile", "--config", "none.yml")
    assert (done.returncode, done.stderr) == (1, "kronos-mixin: none.yml: No such file or directory\n")


def test_a_folder_that_cannot_be_written(run, tmp_path):
    (tmp_path / "monitoring").write_text("a file")
    done = run("compile")
    assert done.returncode == 1
    assert "monitoring" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_version(run):
    assert "check" in run("--help").stdout
    assert run("--version").stdout == "kronos-mixin 0.1.0\n"


LAMP = Path(__file__).parents[1] / "fixtures" / "lamp-mixin"


def on_a_terminal(folder, *arguments, **environment):
    """What a terminal gets to see."""
    ours, theirs = os.openpty()
    command = [sys.executable, str(ROOT / "build.py"), *map(str, arguments)]
    kept = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | environment
    with subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=kept) as process:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # Linux says so when nobody writes any more.
            while part := os.read(ours, 65536):
                seen += part
                if b"[y/N]" in part:
                    os.write(ours, b"n\n")
    os.close(ours)
    return process.returncode, seen.decode()


def test_colour_and_progress_on_a_terminal_only(run, tmp_path):
    config = tmp_path / "prometheus.yml"
    config.write_text("global: {}\n")
    arguments = ("merge", config, "--mixin", LAMP)
    code, seen = on_a_terminal(tmp_path, *arguments)
    assert code == 1
    assert "compiling ..." in seen
    assert "\x1b[32m+rule_files:" in seen
    assert "Nothing was changed." in seen
    _, seen = on_a_terminal(tmp_path, *arguments, NO_COLOR="1")
    assert "\x1b[32m" not in seen
    _, seen = on_a_terminal(tmp_path, *arguments, "--quiet")
    assert "compiling" not in seen
    done = run(*map(str, arguments), "--dry-run")
    assert "\x1b" not in done.stdout + done.stderr
    assert "compiling" not in done.stderr
    assert "compiling: 0." in run(*map(str, arguments), "--dry-run", "--verbose").stderr


def test_every_help_has_examples_and_exit_codes(run):
    for command in ("compile", "check", "merge", "unmerge", "vendor"):
        text = run(command, "--help").stdout
        assert f"  kronos-mixin {command}" in text
        assert "Exit code 0:" in text
        assert "  Examples\n" in text
    assert "Exit codes\n  0  done" in run("--help").stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["compile", "--target", "moon"], ["merge"], ["--nonsense"]])
def test_a_wrong_command_line(run, arguments):
    assert run(*arguments).returncode == 2


def test_ctrl_c_ends_a_long_compilation_at_once(tmp_path):
    (tmp_path / "slow.libsonnet").write_text(
        "local f(n) = if n < 2 then n else f(n - 1) + f(n - 2); { grafanaDashboards: { a: f(60) } }"
    )
    command = [sys.executable, str(ROOT / "build.py"), "compile", "--mixin", "slow.libsonnet"]
    with subprocess.Popen(command, cwd=tmp_path) as process:
        time.sleep(2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == -signal.SIGINT
    assert not (tmp_path / "monitoring").exists()
