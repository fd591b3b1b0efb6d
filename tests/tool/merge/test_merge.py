"""merge and unmerge on files: what is refused, what is put back, and what a real Prometheus says."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from kronos_mixin import files
from kronos_mixin.merge.reload import Reload
from proof.servers import binaries, promtool
from proof.servers.prometheus import Prometheus

CONFIG = """\
# Our central Prometheus.
global: {scrape_interval: 1s, evaluation_interval: 1s}

rule_files:
  - rules/*.yml   # one per team

scrape_configs:
  - job_name: itself
    static_configs: [{targets: ['localhost:9090']}]
"""
BOX = ("--mixin", Path(__file__).parents[1] / "fixtures" / "lamp-mixin")
SCRAPE = ("--job", "lamp", "--target", "localhost:1")


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "prometheus.yml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def merge(call, config):
    return lambda *arguments, **options: call("merge", config, *BOX, *arguments, **options)


def listing(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_merge_and_unmerge(merge, call, config, tmp_path):
    before = listing(tmp_path)
    done = merge(*SCRAPE, "--yes")
    assert "+  - job_name: lamp\n" in done.stdout
    assert f"+ new file {tmp_path}/kronos-mixin/lamp-rules.yml (2 rules)" in done.stdout
    data = yaml.safe_load(config.read_text())
    assert data["rule_files"] == ["rules/*.yml", "kronos-mixin/lamp-rules.yml", "kronos-mixin/lamp-alerts.yml"]
    assert data["scrape_configs"][1] == {"job_name": "lamp", "static_configs": [{"targets": ["localhost:1"]}]}
    (backup,) = tmp_path.glob("prometheus.yml.*.bak")
    assert backup.read_text() == CONFIG
    merged = listing(tmp_path)
    # Neither with the same words, nor with none: what was said before holds.
    assert merge(*SCRAPE).stdout == merge().stdout == f"{config}: nothing to do\n"
    assert listing(tmp_path) == merged
    call("unmerge", config, "--name", "lamp", "--yes")
    after = {name: text for name, text in listing(tmp_path).items() if not name.endswith(".bak")}
    assert after == before
    assert not (tmp_path / "kronos-mixin").exists()
    assert "nothing to do" in call("unmerge", config, "--name", "lamp", "--yes").stdout


def test_what_was_compiled_otherwise_is_brought_up_to_date(merge, call, config, tmp_path):
    merge(*SCRAPE, "--yes")
    (tmp_path / "mine.yml").write_text("burnHours: 5")
    done = merge("--config", "mine.yml", "--yes")
    assert f"~ file {tmp_path}/kronos-mixin/lamp-alerts.yml (1 lines more, 1 less)" in done.stdout
    assert "> 5 " in (tmp_path / "kronos-mixin/lamp-alerts.yml").read_text()
    merge("--config", "mine.yml", "--rules-dir", "elsewhere", "--yes")
    assert not (tmp_path / "kronos-mixin/lamp-alerts.yml").exists()
    call("unmerge", config, "--name", "lamp", "--yes")
    assert config.read_text() == CONFIG
    assert not list((tmp_path / "elsewhere").iterdir())


def test_ours_selects_by_the_job_that_was_named(call, config, tmp_path):
    call("merge", config, "--job", "forecasts", "--target", "a:1", "--target", "b:1", "--rules-dir", "rules", "--yes")
    job = yaml.safe_load(config.read_text())["scrape_configs"][1]
    assert (job["job_name"], job["static_configs"]) == ("forecasts", [{"targets": ["a:1", "b:1"]}])
    text = (tmp_path / "rules/kronos-rules.yml").read_text() + (tmp_path / "rules/kronos-alerts.yml").read_text()
    assert 'job="forecasts"' in text
    assert "kronos-api" not in text
    # A second mixin beside it, and the first one again without a word about job and targets.
    call("merge", config, *BOX, "--yes")
    assert "nothing to do" in call("merge", config).stdout


def test_rules_alone_for_a_job_that_is_there(call, config, tmp_path):
    text = CONFIG + "  - job_name: forecasts\n"
    config.write_text(text)
    assert "has a job forecasts already" in call("merge", config, "--job", "forecasts", "--yes", code=1).stderr
    call("merge", config, "--job", "forecasts", "--rules-only", "--yes")
    assert "job_name: kronos-api" not in config.read_text()
    assert 'up{job="forecasts"}' in (tmp_path / "kronos-mixin/kronos-alerts.yml").read_text()
    assert "nothing to do" in call("merge", config, "--rules-only").stdout
    call("unmerge", config, "--yes")
    assert config.read_text() == text


def test_it_asks(merge, config):
    assert "Change it? [y/N]" in merge(code=1, answer="n\n").stderr
    assert "There is no one to ask" in merge(code=1).stderr
    merge("--dry-run")
    assert config.read_text() == CONFIG
    merge(answer="y\n")
    assert "BEGIN kronos-mixin lamp (rule_files)" in config.read_text()


def test_quiet_says_nothing_but_errors(merge):
    done = merge("--yes", "--quiet")
    assert done.output == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scrape_configs: [", "prometheus.yml: line 2: is not YAML"),
        ("scrape_configs:\n- job_name: lamp\n", "has a job lamp already, which this program did not add"),
        ("x: &a {job_name: lamp}\nscrape_configs:\n- <<: *a\n", "has a job lamp already"),
        ("scrape_config_files: [jobs/*.yml]\n", "jobs/a.yml has a job lamp already"),
        ("rule_files: [none/*.yml]\n", "is written in flow style"),
        ("rule_files:\n- other/*.yml\n", "other/a.yml has a rule group lamp-alerts with other rules"),
    ],
)
def test_refusals(merge, config, tmp_path, text, message):
    for folder, content in (
        ("jobs", "scrape_configs: [{job_name: lamp}]"),
        ("other", "groups: [{name: lamp-alerts}]"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.yml").write_text(content)
    config.write_text(text)
    before = listing(tmp_path)
    done = merge(*SCRAPE, "--yes", code=1)
    assert message in done.stderr
    if "flow style" in message:
        assert "Add these lines to it by hand:\n\nrule_files:\n  - kronos-mixin/lamp-rules.yml\n" in done.stderr
    assert listing(tmp_path) == before


def test_groups_that_run_already_are_noted(merge, call, tmp_path):
    call("compile", *BOX, "--output", "out")
    (tmp_path / "rules").mkdir()
    (tmp_path / "out/prometheus/lamp-rules.yml").rename(tmp_path / "rules/lamp.yml")
    assert "rules/lamp.yml holds the rule group lamp-rules, too: it will run twice" in merge("--yes").stderr


def test_somebody_elses_rule_file_stays(merge, tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/lamp-rules.yml").write_text("groups: []\n")
    assert "was not written by this program" in merge("--rules-dir", "rules", "--yes", code=1).stderr
    assert (tmp_path / "rules/lamp-rules.yml").read_text() == "groups: []\n"


@pytest.mark.parametrize("config_name", ["none.yml", "folder"])
def test_what_is_no_file(call, tmp_path, config_name):
    (tmp_path / "folder").mkdir()
    assert config_name in call("merge", config_name, *BOX, code=1).stderr


def test_what_is_no_mixin(call, config, tmp_path):
    done = call("merge", config, "--mixin", tmp_path / "none", code=1)
    assert done.stderr == f"kronos-mixin: {tmp_path}/none: there is no such file or folder\n"


def test_a_link_stays_a_link_and_owner_and_mode_stay(merge, config, tmp_path):
    real = tmp_path / "real" / "central.yml"
    real.parent.mkdir()
    config.rename(real)
    config.symlink_to("real/central.yml")
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 1234, 2345)
    before = real.stat()
    merge("--yes")
    after = real.stat()
    assert config.is_symlink()
    assert "BEGIN kronos-mixin lamp" in real.read_text()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    (backup,) = real.parent.glob("*.bak")
    # It may hold passwords.
    assert stat.S_IMODE(backup.stat().st_mode) == 0o640
    assert backup.stat().st_uid == before.st_uid


def test_a_configuration_that_somebody_else_changes_meanwhile(merge, config, monkeypatch):
    def confirm(*_, **__):
        config.write_text(CONFIG + "# theirs\n")
        return True

    monkeypatch.setattr("typer.confirm", confirm)
    assert "was changed by somebody else" in merge(code=1).stderr
    assert config.read_text() == CONFIG + "# theirs\n"


@pytest.mark.parametrize("step", range(12))
def test_a_full_disk_changes_nothing(merge, tmp_path, monkeypatch, step):
    """Whichever system call it is that fails first."""
    merge(*SCRAPE, "--yes", "--rules-dir", "rules")
    (tmp_path / "mine.yml").write_text("burnHours: 5")
    before = listing(tmp_path)
    calls = 0

    def failing(function):
        def fails(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == step + 1:
                raise OSError(28, "No space left on device", str((*arguments, options.get("dir"))[0]))
            return function(*arguments, **options)

        return fails

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(os.fsync))
        patch.setattr(files.tempfile, "mkstemp", failing(files.tempfile.mkstemp))
        patch.setattr(Path, "replace", failing(Path.replace))
        done = merge("--config", "mine.yml", "--job", "other", "--yes", code=1 if step < 9 else 0)
    if step < 9:
        assert "No space left on device\nNothing was changed." in done.stderr
        assert listing(tmp_path) == before
        assert not list(tmp_path.rglob(".*"))
    else:
        assert calls == 9 + 2  # The last are folders, where a failure has no meaning any more.


KILL = """
import os, signal, sys
from pathlib import Path
from kronos_mixin import files
from kronos_mixin.merge.reload import Reload
from kronos_mixin.__main__ import main

step, number = int(sys.argv.pop(1)), int(sys.argv.pop(1))
replace = Path.replace
def fatal(path, target):
    global step
    if step == 0:
        os.kill(os.getpid(), number)
    step -= 1
    return replace(path, target)
Path.replace = fatal
main()
"""


@pytest.mark.parametrize(("step", "number"), [(0, signal.SIGKILL), (2, signal.SIGKILL), (1, signal.SIGTERM)])
def test_killed_in_the_middle(merge, config, tmp_path, step, number):
    """The configuration is the old one or the new one, and the next run repairs the rest."""
    command = [sys.executable, "-c", KILL, str(step), str(int(number)), "merge", config, *BOX, *SCRAPE, "--yes"]
    env = {**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[1])}
    done = subprocess.run(
        [str(part) for part in command], cwd=tmp_path, capture_output=True, check=False, timeout=60, env=env
    )
    assert done.returncode == (-number if number == signal.SIGKILL else 128 + number)
    assert config.read_text() == CONFIG
    if number == signal.SIGTERM:
        assert listing(tmp_path) == {"prometheus.yml": CONFIG.encode()}
    merge(*SCRAPE, "--yes")
    assert "BEGIN kronos-mixin lamp" in config.read_text()
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


# Not by its mode: nothing is read-only to root.
def test_a_read_only_folder(merge, tmp_path, monkeypatch):
    def readonly(*_, **options):
        raise OSError(30, "Read-only file system", str(options.get("dir")))

    monkeypatch.setattr(files.tempfile, "mkstemp", readonly)
    assert "Read-only file system\nNothing was changed." in merge("--yes", code=1).stderr
    assert listing(tmp_path) == {"prometheus.yml": CONFIG.encode()}


@pytest.fixture
def with_promtool(monkeypatch):
    def with_promtool(tools):
        monkeypatch.setenv("PATH", f"{tools.promtool.parent}:/usr/bin:/bin")

    return with_promtool


def test_promtool_is_asked_first(call, config, tmp_path, with_promtool):
    with_promtool(binaries.newest())
    mixin = tmp_path / "bad-mixin"
    mixin.mkdir()
    rule = "{ alert: 'Bad', expr: 'up', annotations: { a: '{{ $value | humanise }}' } }"
    (mixin / "mixin.libsonnet").write_text(
        f"{{ prometheusAlerts:: {{ groups: [{{ name: 'bad', rules: [{rule}] }}] }} }}"
    )
    assert "humanise" in call("merge", config, "--mixin", mixin, "--yes", code=1).stderr
    done = call("merge", config, *BOX, "--job", "it self", "--target", "a/b:1", "--yes", code=1)
    assert "promtool refuses it with these changes" in done.stderr
    assert config.read_text() == CONFIG
    # What was wrong before is no reason to refuse, as long as Prometheus could read it elsewhere.
    config.write_text(CONFIG + "    authorization: {credentials_file: /nowhere}\n")
    assert "before these changes and with them" in call("merge", config, *BOX, "--yes").stderr
    config.write_text(CONFIG + "    nonsense: 1\n")
    assert "promtool refuses it, with and without" in call("merge", config, *BOX, "--yes", code=1).stderr


def groups(prometheus):
    return sorted(group["name"] for group in prometheus.rules())


def test_a_real_prometheus(call, config, tmp_path, tools, with_promtool):
    with_promtool(tools)
    with Prometheus(tools, config) as prometheus:
        reload = ("--reload", prometheus.url, "--yes")
        done = call("merge", config, *BOX, *SCRAPE, *reload)
        assert f"The Prometheus at {prometheus.url} has read it." in done.stdout
        assert Reload(prometheus.url).reads(["job_name: lamp", "kronos-mixin/lamp-rules.yml"])
        assert groups(prometheus) == ["lamp-alerts", "lamp-rules"]
        # The same files under a pattern and by name run once.
        call("merge", config, *BOX, "--rules-dir", "rules", *reload)
        assert groups(prometheus) == ["lamp-alerts", "lamp-rules"]
        promtool.check_config(tools, config)
        merged = config.read_text()

        # Only the server finds what is wrong: without promtool, an address that is none.
        without = pytest.MonkeyPatch()
        without.setenv("PATH", "/usr/bin:/bin")
        done = call("merge", config, *BOX, "--job", "lamp", "--target", "a/b:1", *reload, code=1)
        assert "refuses: " in done.stderr
        assert "everything was put back as it was, and it has read that again" in done.stderr
        assert config.read_text() == merged
        assert groups(prometheus) == ["lamp-alerts", "lamp-rules"]

        # And where what was there before is wrong, too.
        (tmp_path / "rules/theirs.yml").write_text("groups: [{name: theirs, rules: [{record: a, expr: '('}]}]")
        done = call("merge", config, *BOX, "--job", "other", *reload, code=1)
        assert "everything was put back as it was, but it does not read that either" in done.stderr
        assert config.read_text() == merged
        (tmp_path / "rules/theirs.yml").unlink()
        without.undo()

        call("unmerge", config, "--name", "lamp", *reload)
        assert config.read_text() == CONFIG
        assert groups(prometheus) == []


def test_a_prometheus_that_does_not_answer(merge, tmp_path):
    before = listing(tmp_path)
    done = merge("--reload", "localhost:1", "--yes", code=1)
    assert "Prometheus at http://localhost:1 does not answer" in done.stderr
    assert listing(tmp_path) == before
    assert "is no address" in merge("--reload", "ftp://x", code=2).stderr


def test_a_large_configuration_takes_no_longer_than_reading_it(merge, config):
    jobs = "".join(
        f"  - job_name: job-{number}  # {number}\n    static_configs:\n      - targets: ['host-{number}:9100']\n"
        for number in range(1000)
    )
    config.write_text(CONFIG + jobs)
    start = time.monotonic()
    merge("--yes", "--quiet")
    assert time.monotonic() - start < 10
