"""The command line, run as a user runs it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from kronos_mixin.__main__ import COMMANDS, app
from kronos_mixin.contract import mixin_path

ROOT = mixin_path().parent
PROGRAM = r"\s*(?:kronos-mixin|python build\.py) ([a-z].*)"


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
    assert {Path(name).parts[1] for name in written} == {"alertmanager", "central", "grafana", "prometheus"}
    for name in written:
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()
    assert run("check").stdout.endswith("nothing found\n")


def test_check_without_compiled_files(run):
    done = run("check")
    assert done.returncode == 1
    assert "is missing in monitoring: run `python build.py compile`" in done.stdout


def test_config_files_are_laid_over_each_other(call, tmp_path):
    (tmp_path / "a.yml").write_text("kronos: {rateWindow: 1m, alerts: {KronosHighLatency: {threshold: '0.2'}}}")
    (tmp_path / "b.yml").write_text("kronos: {alerts: {KronosHighLatency: {for: 1m}}}")
    call("compile", "--config", "a.yml", "--config", "b.yml")
    alerts = (tmp_path / "monitoring/prometheus/kronos-alerts.yml").read_text()
    assert "slow:ratio_rate1m" in alerts
    assert "> 0.2" in " ".join(alerts.split())
    call("check", "--config", "a.yml", "--config", "b.yml")


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
def test_a_wrong_config_is_one_readable_line(call, tmp_path, text, message):
    (tmp_path / "my.yml").write_text(text)
    assert message in call("compile", "--config", "my.yml", code=1).stderr
    assert not (tmp_path / "monitoring").exists()


def test_a_config_that_is_not_there(run):
    done = run("compile", "--config", "none.yml")
    assert (done.returncode, done.stderr) == (1, "kronos-mixin: none.yml: No such file or directory\n")


def test_a_folder_that_cannot_be_written(call, tmp_path):
    (tmp_path / "monitoring").write_text("a file")
    assert "monitoring" in call("compile", code=1).stderr


def test_version(call):
    assert call("--version").stdout == "kronos-mixin 0.1.0\n"


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
    assert "\x1b[33m" in seen
    assert "\x1b[31mkronos-mixin:" in seen
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        _, seen = on_a_terminal(tmp_path, *arguments, **environment)
        assert "Nothing was changed." in seen
        assert not re.search(r"\x1b\[\d*m", seen)
    assert "\x1b" not in seen
    # An empty NO_COLOR is none.
    assert "\x1b[32m" in on_a_terminal(tmp_path, *arguments, NO_COLOR="")[1]
    _, seen = on_a_terminal(tmp_path, *arguments, "--quiet")
    assert "compiling" not in seen
    done = run(*map(str, arguments), "--dry-run")
    assert "\x1b" not in done.stdout + done.stderr
    assert "compiling" not in done.stderr
    assert "compiling: 0." in run(*map(str, arguments), "--dry-run", "--verbose").stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_examples_and_exit_codes_in_80_columns(call, command):
    text = call(command, "--help").stdout
    assert re.search(r"^  Examples?$", text, re.MULTILINE)
    assert re.search(r"\bExit code 0: .*; 2:", " ".join(text.split()))
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_is_a_command_line_that_is_understood(call, command):
    group, asked = get_command(app), []
    for line in call(command, "--help").stdout.replace("\\\n", " ").splitlines():
        if example := re.match(PROGRAM, line):
            name, *arguments = shlex.split(example[1])
            group.commands[name].make_context(name, arguments)
            asked.append(name)
    assert command in asked


@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_command_line_ends_with_2(call, command):
    assert "No such option: --nonsense" in call(command, "--nonsense", code=2).stderr


def test_the_overview_of_commands(call):
    text = call("--help").stdout
    assert "Exit codes\n  0  done" in text
    assert "..." not in text.replace("[ARGS]...", "")  # No summary is cut off.
    assert max(map(len, text.splitlines())) <= 80


def test_a_wrong_option_leads_to_the_command_that_was_called(run):
    assert "Try 'python build.py compile --help' for help." in run("compile", "--nonsense").stderr


COMPLETE = """
eval "$(kronos-mixin --show-completion bash)"
while read -ra COMP_WORDS; do
    [[ ${COMP_WORDS[-1]} == _ ]] && COMP_WORDS[-1]=
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _kronos_mixin_completion kronos-mixin </dev/null
    echo "${COMPREPLY[*]}"
done
"""


def test_completion(tmp_path):
    """What bash offers for the last word of a line, by the script that the program prints."""
    (tmp_path / "prometheus.yml").write_text(
        "scrape_configs:\n- job_name: forecasts\n- job_name: node\n# BEGIN kronos-mixin lamp (rule_files)\n"
        "# END kronos-mixin lamp (rule_files)\n"
    )
    offered = {
        "ch": "check",
        "compile --target _": "plain kubernetes scrapeconfig grafana-alerts grafana-v2 openslo",
        # Nothing of ours: bash completes names of files itself.
        "compile --config a": "",
        "merge prometheus.yml --job f": "forecasts",
        "unmerge prometheus.yml --name _": "lamp",
        "unmerge none.yml --name _": "",
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", COMPLETE],
        input="".join(f"kronos-mixin {line}\n" for line in offered),
        capture_output=True, text=True, cwd=tmp_path, check=True,
        env={**os.environ, "PATH": path, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )  # fmt: skip
    assert done.stdout.splitlines() == list(offered.values())


@pytest.mark.parametrize("arguments", [["nonsense"], ["compile", "--target", "moon"], ["merge"], ["--nonsense"]])
def test_a_wrong_command_line(call, arguments):
    call(*arguments, code=2)


def test_ctrl_c_ends_a_long_compilation_at_once(tmp_path):
    (tmp_path / "slow.libsonnet").write_text(
        "local f(n) = if n < 2 then n else f(n - 1) + f(n - 2); { grafanaDashboards: { a: f(60) } }"
    )
    ours, theirs = os.openpty()
    command = [sys.executable, str(ROOT / "build.py"), "compile", "--mixin", "slow.libsonnet"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=theirs) as process:
        seen = b""
        while b"compiling ..." not in seen:
            seen += os.read(ours, 1024)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT
    os.close(ours)
    os.close(theirs)
    assert not (tmp_path / "monitoring").exists()


def test_links_to_example_hosts_are_told_once(call, tmp_path):
    config = tmp_path / "prometheus.yml"
    config.write_text("global: {}\n")
    hosts = "runbooks.example.com and grafana.example.com, which are examples: set runbookURL and dashboardURL"
    for command in (("compile",), ("merge", config, "--target", "a:1", "--yes")):
        assert call(*command).stderr.count(hosts) == 1
    # Not each time that it is brought up to date.
    assert "examples" not in call("merge", config, "--target", "b:1", "--yes").stderr
    (tmp_path / "mine.yml").write_text(
        "kronos: {runbookURL: 'https://wiki/{alert}', dashboardURL: 'https://g/{uid}'}"
    )
    assert "examples" not in call("compile", "--config", "mine.yml").stderr


def test_a_command_loads_no_other():
    """All together take longer than compiling the mixin: to begin with, one that asks no server needs no HTTP."""
    code = """if True:
        import sys
        from kronos_mixin.__main__ import app
        try:
            app(["compile", "--help"])
        finally:
            own = ("httpx", "kronos_mixin.cli.", "kronos_mixin.merge")
            print(sorted(name for name in sys.modules if name.startswith(own)))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ["compile", "console", "groups", "options"]
    assert done.stdout.splitlines()[-1] == str([f"kronos_mixin.cli.{name}" for name in loaded])
