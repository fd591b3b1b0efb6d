"""merge and unmerge on files: what is refused, what is put back, and what a real Prometheus says."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kronos_mixin import files
from kronos_mixin.merge import prometheusyml
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
    # The file is remembered, its content is read anew.
    assert merge().stdout == f"{config}: nothing to do\n"
    (tmp_path / "mine.yml").write_text("burnHours: 7")
    merge("--yes")
    assert "> 7 " in (tmp_path / "kronos-mixin/lamp-alerts.yml").read_text()
    (tmp_path / "mine.yml").write_text("burnHours: 5")
    done = merge("--yes")
    assert f"~ file {tmp_path}/kronos-mixin/lamp-alerts.yml (1 lines more, 1 less)" in done.stdout
    assert "> 5 " in (tmp_path / "kronos-mixin/lamp-alerts.yml").read_text()
    merge("--rules-dir", "elsewhere", "--yes")
    assert not (tmp_path / "kronos-mixin/lamp-alerts.yml").exists()
    call("unmerge", config, "--name", "lamp", "--yes")
    assert config.read_text() == CONFIG
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("rules_dir", [(), ("--rules-dir", "../alerts")])
def test_a_path_that_goes_up(call, config, tmp_path, monkeypatch, rules_dir):
    """The same files by another name are the same files."""
    (tmp_path / "below").mkdir()
    (tmp_path / "mine.yml").write_text("burnHours: 5")
    monkeypatch.chdir(tmp_path / "below")
    arguments = ("merge", Path("../prometheus.yml"), *BOX, *rules_dir)
    call(*arguments, *SCRAPE, "--config", "../mine.yml", "--yes")
    assert f"{rules_dir[1][3:] if rules_dir else 'kronos-mixin'}/lamp-rules.yml" in rule_files_of(config)
    assert "--config mine.yml" in config.read_text()
    merged = listing(tmp_path)
    for again in (arguments, ("merge", config, *BOX), ("merge", tmp_path / "below/../prometheus.yml", *BOX)):
        assert "nothing to do" in call(*again, "--yes").stdout
    assert listing(tmp_path) == merged
    call("unmerge", Path("../prometheus.yml"), "--name", "lamp", "--yes")
    assert config.read_text() == CONFIG
    assert not list(tmp_path.rglob("lamp-*"))


def test_a_path_that_goes_up_out_of_a_link(call, config, tmp_path):
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/away")
    for _ in range(2):
        call("merge", config, *BOX, *SCRAPE, "--rules-dir", tmp_path / "link/../rules", "--yes")
        assert "far/rules/lamp-rules.yml" in rule_files_of(config)
        assert (tmp_path / "far/rules/lamp-rules.yml").is_file()


def rule_files_of(config):
    return yaml.safe_load(config.read_text())["rule_files"]


def test_ours_selects_by_the_job_that_was_named(call, config, tmp_path):
    call("merge", config, "--job", "forecasts", "--target", "a:1", "--target", "b:1", "--rules-dir", "rules", "--yes")
    assert rule_files_of(config) == ["rules/*.yml"]
    job = yaml.safe_load(config.read_text())["scrape_configs"][1]
    assert (job["job_name"], job["static_configs"]) == ("forecasts", [{"targets": ["a:1", "b:1"]}])
    text = (tmp_path / "rules/kronos-rules.yml").read_text() + (tmp_path / "rules/kronos-alerts.yml").read_text()
    assert 'job="forecasts"' in text
    assert "kronos-api" not in text
    # A second mixin beside it, and the first one again without a word about job and targets.
    call("merge", config, *BOX, "--yes")
    assert "nothing to do" in call("merge", config).stdout
    # What the command line said holds against a configuration; what it has never said follows that.
    (tmp_path / "mine.yml").write_text("kronos: {job: other, scrape: {interval: 30s, targets: ['c:1']}}")
    call("merge", config, "--config", "mine.yml", "--yes")
    job = yaml.safe_load(config.read_text())["scrape_configs"][1]
    assert (job["job_name"], job["scrape_interval"]) == ("forecasts", "30s")
    assert job["static_configs"] == [{"targets": ["a:1", "b:1"]}]
    # Targets that were edited in the file stay.
    config.write_text(config.read_text().replace("b:1\n", "d:1\n"))
    assert "-          - d:1" not in call("merge", config, "--yes").stdout
    assert yaml.safe_load(config.read_text())["scrape_configs"][1]["static_configs"] == [{"targets": ["a:1", "d:1"]}]
    assert "'a/b' is not an address with a port" in call("merge", config, "--target", "a/b", code=2).stderr


def test_job_and_targets_of_a_configuration_are_followed(call, config, tmp_path):
    for job in ("one", "two"):
        (tmp_path / "mine.yml").write_text(f"kronos: {{job: {job}, scrape: {{targets: ['{job}:1']}}}}")
        call("merge", config, "--config", "mine.yml", "--yes")
        found = yaml.safe_load(config.read_text())["scrape_configs"][1]
        assert (found["job_name"], found["static_configs"]) == (job, [{"targets": [f"{job}:1"]}])
        assert f'job="{job}"' in (tmp_path / "kronos-mixin/kronos-rules.yml").read_text()


def test_the_configuration_is_remembered_wherever_one_stands(merge, call, config, tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    mine, theirs = tmp_path / "below/my own.yml", tmp_path.parent / f"{tmp_path.name}-theirs.yml"
    mine.write_text("burnHours: 5")
    theirs.write_text("burnHours: 6")
    monkeypatch.chdir(tmp_path / "below")
    merge("--config", "my own.yml", "--config", theirs, "--yes")
    assert f"`kronos-mixin merge --config 'below/my own.yml' --config {theirs}`" in config.read_text()
    rules = tmp_path / "kronos-mixin/lamp-alerts.yml"
    assert "> 6 " in rules.read_text()
    monkeypatch.chdir("/")
    assert "nothing to do" in merge().stdout
    # Other files stand in place of those.
    merge("--config", mine, "--yes")
    assert "> 5 " in rules.read_text()
    assert "nothing to do" in merge().stdout

    # One that has gone is no reason to go back to the defaults in silence.
    before = listing(tmp_path)
    mine.rename(tmp_path / "moved.yml")
    done = merge("--yes", code=1)
    assert f"was merged with --config {mine}, which no longer exists: name the file again" in done.stderr
    assert rules.read_text() == before["kronos-mixin/lamp-alerts.yml"].decode()
    merge("--config", tmp_path / "moved.yml", "--yes")
    merge("--no-config", "--yes")
    assert "> 5 " not in rules.read_text()
    assert "--config" not in config.read_text()
    assert "nothing to do" in merge().stdout
    call("unmerge", config, "--name", "lamp", "--yes")
    assert config.read_text() == CONFIG


def test_a_name_that_no_comment_can_hold(merge, config, tmp_path):
    (tmp_path / "a`b.yml").write_text("burnHours: 5")
    assert "can't remember" in merge("--config", "a`b.yml", "--yes", code=1).stderr
    assert config.read_text() == CONFIG


def test_the_newest_backups_stay(merge, tmp_path):
    theirs = [
        "prometheus.yml.bak",
        "prometheus.yml.2026.bak",
        "prometheus.yml.20260101T000000.bak.gz",
        "x.20260101T000000.bak",
    ]
    for name in (*theirs, "prometheus.yml.20250101T000000.bak", "prometheus.yml.20250101T000000-10.bak"):
        (tmp_path / name).write_text("old")
    (tmp_path / "prometheus.yml.20240101T000000.bak").mkdir()
    for number in range(1, 7):
        merge(*SCRAPE, "--target", f"localhost:{number}", "--yes")
    kept = [path for path in tmp_path.glob("prometheus.yml.*.bak") if path.is_file() and path.read_text() != "old"]
    assert len(kept) == 5
    # The first one, of the file as it was, was the oldest.
    assert CONFIG not in [path.read_text() for path in kept]
    left = {path.name for path in tmp_path.iterdir() if path.is_dir() or path.read_text() == "old"}
    assert left == {*theirs, "prometheus.yml.20240101T000000.bak", "kronos-mixin"}


def test_rules_alone_for_a_job_that_is_there(call, config, tmp_path):
    text = CONFIG + "  - job_name: forecasts\n"
    config.write_text(text)
    assert "has a job forecasts already" in call("merge", config, "--job", "forecasts", "--yes", code=1).stderr
    call("merge", config, "--job", "forecasts", "--rules-only", "--yes")
    assert "job_name: kronos-api" not in config.read_text()
    assert 'up{job="forecasts"}' in (tmp_path / "kronos-mixin/kronos-alerts.yml").read_text()
    assert "nothing to do" in call("merge", config, "--rules-only").stdout
    done = call("merge", config)
    assert ("nothing to do" in done.stdout, done.stderr) == (
        True,
        "Only the rules, as before; --target HOST:PORT adds a scrape job.\n",
    )
    assert "has a job forecasts already" in call("merge", config, "--target", "a:1", code=1).stderr
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
from kronos_mixin.merge import prometheusyml
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


def never(folder):
    """A mixin with a scrape job that Prometheus refuses."""
    path = folder / "never.libsonnet"
    path.write_text("{ prometheusScrapeConfigs:: [{ job_name: 'never', scrape_interval: 'never' }] }")
    return path


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
    done = call("merge", config, "--mixin", never(tmp_path), "--yes", code=1)
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
        seen = f"The Prometheus at {prometheus.url} has reloaded: it runs 2 rule groups, the scrape job lamp."
        assert seen in done.stdout
        assert groups(prometheus) == ["lamp-alerts", "lamp-rules"]
        # A pattern finds them already: they need no entry, and run once.
        call("merge", config, *BOX, "--rules-dir", "rules", *reload)
        assert groups(prometheus) == ["lamp-alerts", "lamp-rules"]
        assert rule_files_of(config) == ["rules/*.yml"]
        promtool.check_config(tools, config)
        merged = config.read_text()

        # And so do ours, which are many, and of every kind.
        done = call("merge", config, "--target", "localhost:1", *reload)
        assert "rule groups, the scrape job kronos-api." in done.stdout
        call("unmerge", config, *reload)

        # Without promtool, only the server finds what is wrong.
        without = pytest.MonkeyPatch()
        without.setenv("PATH", "/usr/bin:/bin")
        done = call("merge", config, "--mixin", never(tmp_path), *reload, code=1)
        assert "refuses: " in done.stderr
        assert f"Everything was put back as it was; {prometheus.url} has read that again" in done.stderr
        assert config.read_text() == merged
        assert groups(prometheus) == ["lamp-alerts", "lamp-rules"]

        # And where what was there before is wrong, too.
        (tmp_path / "rules/theirs.yml").write_text("groups: [{name: theirs, rules: [{record: a, expr: '('}]}]")
        done = call("merge", config, *BOX, "--job", "other", *reload, code=1)
        assert f"Everything was put back as it was; {prometheus.url} does not read that either" in done.stderr
        assert config.read_text() == merged
        (tmp_path / "rules/theirs.yml").unlink()
        without.undo()

        # Files changed without a reload: the next run with one has nothing to change, and still reloads.
        (tmp_path / "mine.yml").write_text("burnHours: 5")
        done = call("merge", config, *BOX, "--config", "mine.yml", "--yes")
        again = f"merge {config} --mixin {BOX[1]} --reload http://localhost:9090"
        assert f"Prometheus has not read it yet: run `kronos-mixin {again}`" in done.stdout
        assert "> 5" not in str(prometheus.rules())
        done = call("merge", config, *BOX, *reload)
        assert done.stdout == f"{config}: nothing to do\n{seen}\n"
        assert "> 5" in str(prometheus.rules())
        call("merge", config, *BOX, *reload, "--dry-run")

        call("unmerge", config, "--name", "lamp", "--yes")
        assert groups(prometheus) == ["lamp-alerts", "lamp-rules"]
        done = call("unmerge", config, "--name", "lamp", *reload)
        assert "has reloaded: it runs nothing of lamp any more." in done.stdout
        assert config.read_text() == CONFIG
        assert groups(prometheus) == []

        # What somebody else's entry brings back is told.
        call("compile", *BOX, "--output", "rules", "--name", "lamp")
        (tmp_path / "rules/prometheus/lamp-rules.yml").rename(tmp_path / "rules/lamp-rules.yml")
        done = call("unmerge", config, "--name", "lamp", *reload, code=1)
        assert f"has reloaded, but it still runs {tmp_path}/rules/lamp-rules.yml" in done.stderr
        # One that reads another file.
        other = tmp_path / "other.yml"
        other.write_text("global: {}\n")
        call("merge", other, *BOX, "--yes", "--rules-dir", "others")
        done = call("merge", other, *BOX, *reload, code=1)
        assert (
            f"it runs another configuration than {other} (it was started with --config.file={config})" in done.stderr
        )


def test_a_reload_without_changes_that_is_refused(merge, config):
    merge("--yes")
    merged = config.read_text()
    assert "does not answer" in merge("--reload", "localhost:1", code=1).stderr
    assert config.read_text() == merged


def test_a_prometheus_that_does_not_answer(merge, tmp_path):
    before = listing(tmp_path)
    done = merge("--reload", "localhost:1", "--yes", code=1)
    assert done.stderr.count("Prometheus at http://localhost:1 does not answer") == 1
    assert listing(tmp_path) == before
    assert "is no address" in merge("--reload", "ftp://x", code=2).stderr


def test_a_large_configuration_is_not_parsed_again_and_again(merge, config, monkeypatch):
    """A file of many jobs takes the time of parsing it a few times: as it is, as it will be, and in between."""
    config.write_text(CONFIG + "".join(f"  - job_name: job-{number}  # {number}\n" for number in range(100)))
    parsed = []

    def counting(function):
        return lambda text, **options: parsed.append(len(text)) or function(text, **options)

    monkeypatch.setattr(prometheusyml.yaml, "parse", counting(prometheusyml.yaml.parse))
    monkeypatch.setattr(prometheusyml.yaml, "compose", counting(prometheusyml.yaml.compose))
    merge("--yes", "--quiet")
    assert 0 < sum(length > 1000 for length in parsed) <= 10
