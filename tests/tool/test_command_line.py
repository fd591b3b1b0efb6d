"""The command line, run as a user runs it."""

from __future__ import annotations

import subprocess
import sys

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
    assert len(written) == 4
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
    assert run("check").returncode == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kronos: {rateWindw: 1m}", "No such knob: _config.kronos.rateWindw"),
        ("kronos: {objectives: {latency: {seconds: {/v1/predict/single: '4.0'}}}}", "4.0 is not a bucket of"),
        ("kronos: [", "my.yml: is not YAML"),
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
