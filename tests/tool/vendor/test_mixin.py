"""Vendors the mixin from a real git repository into that of a consumer."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from pathlib import Path

import _jsonnet
import pytest
import yaml

from kronos_mixin.contract import mixin_path
from kronos_mixin.vendor.tree import checksum
from proof.servers import binaries, promtool
from tests.tool.vendor.conftest import git

REMOTE = "https://git.example.com/quant/kronos.git"
CONSUMER = Path(__file__).parents[2] / "consumer"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A repository with this checkout's mixin, tagged v0.1.0."""
    folder = tmp_path_factory.mktemp("published")
    shutil.copytree(mixin_path(), folder / "mixin", ignore=shutil.ignore_patterns(".*"))
    (folder / "secret.txt").write_text("outside of the mixin")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "one")
    git(folder, "tag", "--annotate", "v0.1.0", "--message", "first")
    return folder


@pytest.fixture
def remote(published, tmp_path, monkeypatch):
    """A copy that git finds under REMOTE."""
    copy = tmp_path / "remote"
    shutil.copytree(published, copy)
    for name, value in {"COUNT": "1", "KEY_0": f"url.{copy}.insteadOf", "VALUE_0": REMOTE}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    return copy


JSON = ("--format", "json")


@pytest.fixture
def consumer(tmp_path):
    folder = tmp_path / "consumer"
    shutil.copytree(CONSUMER, folder)
    return folder


@pytest.fixture
def vendored(call, remote, consumer):  # noqa: ARG001 - It must exist.
    call("vendor", consumer, "--remote", REMOTE, "--ref", "v0.1.0")
    return consumer


def test_the_layout_is_that_of_jb(vendored, remote):
    place = vendored / "vendor/git.example.com/quant/kronos/mixin"
    assert (vendored / "vendor/kronos-mixin").readlink() == Path("git.example.com/quant/kronos/mixin")
    names = sorted(path.relative_to(place) for path in place.rglob("*"))
    assert names == sorted(path.relative_to(remote / "mixin") for path in (remote / "mixin").rglob("*"))
    assert [path.name for path in (vendored / "vendor").iterdir()] != ["secret.txt"]
    assert not list(vendored.rglob("secret.txt"))
    source = {"git": {"remote": REMOTE, "subdir": "mixin"}}
    assert json.loads((vendored / "jsonnetfile.json").read_text()) == {
        "version": 1,
        "dependencies": [{"source": source, "version": "v0.1.0", "name": "kronos-mixin"}],
        "legacyImports": True,
    }
    (lock,) = json.loads((vendored / "jsonnetfile.lock.json").read_text())["dependencies"]
    assert lock["version"] == git(remote, "rev-parse", "HEAD")
    # jb walks a folder's entries by name, goes into each folder as it comes to it, and hashes all contents as one.
    digest = hashlib.sha256()

    def walk(folder):
        for path in sorted(folder.iterdir(), key=lambda path: path.name.encode()):
            walk(path) if path.is_dir() else digest.update(path.read_bytes())

    walk(place)
    assert lock["sum"] == base64.b64encode(digest.digest()).decode()


def test_the_sum_is_that_of_jb(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_text("1")
    (tmp_path / "a-b").write_text("2")  # As a text, "a-b" stands before "a/x".
    assert checksum(tmp_path) == base64.b64encode(hashlib.sha256(b"12").digest()).decode()
    (tmp_path / "a-c").symlink_to("a-b")  # Counts as what it leads to.
    assert checksum(tmp_path) == base64.b64encode(hashlib.sha256(b"122").digest()).decode()
    (tmp_path / "a-bb").symlink_to("/dev/zero")
    assert checksum(tmp_path) == base64.b64encode(hashlib.sha256(b"12").digest()).decode()


def test_consumers_can_override_anything(vendored, call, tmp_path):
    call("compile", "--mixin", vendored / "mixin.libsonnet", "--output", "out", "--name", "forecasts")
    rules = yaml.safe_load((tmp_path / "out/prometheus/forecasts-rules.yml").read_text())["groups"]
    alerts = yaml.safe_load((tmp_path / "out/prometheus/forecasts-alerts.yml").read_text())["groups"]
    board = json.loads((tmp_path / "out/grafana/forecasts/Kronos/kronos-dashboard.json").read_text())
    by_name = {rule["alert"]: rule for group in alerts for rule in group["rules"]}
    assert "> 0.05" in " ".join(by_name["KronosHighErrorRate"]["expr"].split())
    assert "KronosHighMemoryUsage" not in by_name
    assert by_name["ForecastsNoOrders"]["expr"] == "job:forecasts_orders:rate5m == 0"
    assert "kronos-api" not in json.dumps(rules)
    assert rules[-1]["rules"][0]["record"] == "job:forecasts_orders:rate5m"
    assert board["panels"][-1]["title"] == "Orders"
    for name in ("rules", "alerts"):
        promtool.check_rules(binaries.newest(), tmp_path / f"out/prometheus/forecasts-{name}.yml")
    assert "nothing found" in call("check", "--mixin", vendored / "mixin.libsonnet", "--output", "none").stdout

    # The same without any tool of ours.
    fields = "['grafanaDashboards', 'prometheusRules', 'prometheusAlerts']"
    snippet = f"local m = import 'mixin.libsonnet'; {{ [f]: m[f] for f in {fields} }}"
    plain = json.loads(_jsonnet.evaluate_snippet(str(vendored / "x"), snippet, jpathdir=[str(vendored / "vendor")]))
    assert plain["grafanaDashboards"]["kronos-dashboard.json"] == board
    names = [[rule["alert"] for rule in group["rules"]] for group in plain["prometheusAlerts"]["groups"]]
    assert names == [[rule["alert"] for rule in group["rules"]] for group in alerts]


def test_other_dependencies_stay(call, remote, consumer):
    (remote / "lib").mkdir()
    (remote / "lib/x").write_text("x")
    git(remote, "add", ".")
    git(remote, "commit", "--quiet", "--message", "lib")
    other = {"source": {"git": {"remote": REMOTE, "subdir": "lib"}}, "version": "main"}
    (consumer / "jsonnetfile.json").write_text(json.dumps({"version": 1, "dependencies": [other]}))
    for _ in range(2):
        call("vendor", consumer, "--remote", REMOTE, "--ref", "main")
        declared, locked = (
            json.loads((consumer / name).read_text())["dependencies"]
            for name in ("jsonnetfile.json", "jsonnetfile.lock.json")
        )
        assert declared[0] == other
        assert [entry.get("name") for entry in locked] == [None, "kronos-mixin"]
    assert (consumer / "vendor/lib/x").is_file()


def test_check_reports_what_is_outdated(call, remote, vendored):
    assert "is up to date" in call("vendor", vendored, "--check").stdout
    (remote / "mixin/new.libsonnet").write_text("{}")
    git(remote, "add", ".")
    git(remote, "commit", "--quiet", "--message", "two")
    assert "is up to date" in call("vendor", vendored, "--check").stdout  # It is still v0.1.0.
    git(remote, "tag", "v0.10.0")
    git(remote, "tag", "v0.9.0")
    assert call("vendor", vendored, "--check", code=1).stdout == "v0.10.0 is out, but v0.1.0 is vendored\n"
    (problem,) = json.loads(call("vendor", vendored, "--check", "--ref", "main", *JSON, code=1).stdout)["problems"]
    assert problem.startswith("main is ")
    done = json.loads(call("vendor", vendored, "--remote", REMOTE, "--ref", "v0.10.0", *JSON).stdout)
    ((folder, wanted, changed),) = ((one["folder"], one["wanted"], one["changed"]) for one in done["packages"])
    assert (folder, wanted, changed) == (f"{REMOTE.partition('//')[2].removesuffix('.git')}/mixin", "v0.10.0", True)
    assert (vendored / "vendor/kronos-mixin/new.libsonnet").is_file()
    assert "is up to date" in call("vendor", vendored, "--check").stdout
    (vendored / "vendor/kronos-mixin/new.libsonnet").write_text("{ a: 1 }")
    assert "it was edited" in call("vendor", vendored, "--check", code=1).stdout
    shutil.rmtree(vendored / "vendor")
    again = f"kronos-mixin vendor {vendored} --remote {REMOTE} --ref v0.10.0"
    assert f"is missing: run `{again}`" in call("vendor", vendored, "--check", code=1).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--remote", REMOTE, "--ref", "v9.9.9"), 1, "has no tag, branch or commit v9.9.9: its tags are v0.1.0"),
        (("--remote", REMOTE, "--ref", "0123456"), 1, "has no tag, branch or commit 0123456"),
        (
            ("--remote", "https://git.example.com/x/y.git", "--ref", "main"),
            3,
            "Please make sure you have",
        ),
        (("--remote", f"{REMOTE}?token=s3cr3t", "--ref", "main"), 1, "must be an address without ? and #"),
        (("--remote", "no address", "--ref", "main"), 1, "is not an address such as"),
        (("--remote", "https://git.example.com/kronos.git", "--ref", "main"), 1, "must name an organisation"),
        (("--remote", REMOTE, "--ref", "--upload-pack=x"), 1, "is not the name of a tag"),
        (("--remote", REMOTE), 2, "vendor needs both --remote and --ref"),
        (("--check",), 1, "has no kronos-mixin: add it with `kronos-mixin vendor "),
    ],
)
def test_refusals(call, remote, consumer, monkeypatch, arguments, code, message):
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    monkeypatch.setenv("GIT_CONFIG_KEY_1", f"url.{remote}/none.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_1", "https://git.example.com/x/")
    before = sorted(consumer.rglob("*"))
    assert message in call("vendor", consumer, *arguments, code=code).stderr
    assert sorted(consumer.rglob("*")) == before


def test_invalid_jsonnetfiles_are_refused(call, remote, consumer):
    (consumer / "jsonnetfile.json").write_text("{")
    assert "is not JSON" in call("vendor", consumer, "--remote", REMOTE, "--ref", "main", code=1).stderr
    (consumer / "jsonnetfile.json").write_text('{"version": 2}')
    assert "has version 2" in call("vendor", consumer, "--remote", REMOTE, "--ref", "main", code=1).stderr
    assert remote.exists()


def test_passwords_stay_out_of_files_and_messages(call, remote, consumer, monkeypatch):
    secret = REMOTE.replace("https://", "https://u:s3cr3t@")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{remote}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", secret)
    done = call("vendor", consumer, "--remote", secret, "--ref", "v0.1.0")
    files = [path.read_text() for path in consumer.glob("jsonnetfile*.json")]
    assert all(REMOTE in text for text in files)
    done = call("vendor", consumer, "--remote", secret, "--check")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{remote}/none.insteadOf")
    done = call("vendor", consumer, "--remote", secret, "--ref", "main", code=3)
    assert "s3cr3t" not in "".join([*files, done.stdout, done.stderr])


@pytest.mark.parametrize("setting", [("core.autocrlf", "true"), ("core.attributesFile", "attributes")])
def test_the_sum_does_not_depend_on_the_machine(call, remote, consumer, monkeypatch, tmp_path, setting):
    (tmp_path / "attributes").write_text("* text eol=crlf\n")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    monkeypatch.setenv("GIT_CONFIG_KEY_1", setting[0])
    monkeypatch.setenv("GIT_CONFIG_VALUE_1", setting[1].replace("attributes", str(tmp_path / "attributes")))
    call("vendor", consumer, "--remote", REMOTE, "--ref", "v0.1.0")
    (lock,) = json.loads((consumer / "jsonnetfile.lock.json").read_text())["dependencies"]
    assert lock["sum"] == checksum(remote / "mixin")


@pytest.mark.parametrize("written", ["file://{}", "{}", "../remote"])
def test_a_repository_on_this_machine(call, remote, consumer, tmp_path, monkeypatch, written):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    commit = git(remote, "rev-parse", "HEAD")
    for ref in ("v0.1.0", commit, commit[:9]):
        call("vendor", consumer, "--remote", written.format(remote), "--ref", ref)
        (lock,) = json.loads((consumer / "jsonnetfile.lock.json").read_text())["dependencies"]
        assert (lock["source"]["git"]["remote"], lock["version"]) == (f"file://{remote}", commit)
    assert (consumer / f"vendor/localhost{remote}/mixin/mixin.libsonnet").is_file()
    call("vendor", consumer, "--check")


def test_our_own_layout_is_that_of_jb_for_a_local_dependency():
    root = mixin_path().parent
    (entry,) = json.loads((root / "jsonnetfile.json").read_text())["dependencies"]
    assert entry["source"] == {"local": {"directory": "mixin"}}
    assert (root / "vendor/mixin").readlink() == Path("../mixin")
    snippet = "(import 'mixin/mixin.libsonnet')._config.kronos.rateWindow"
    assert _jsonnet.evaluate_snippet("x", snippet, jpathdir=[str(root / "vendor")]) == '"5m"\n'
