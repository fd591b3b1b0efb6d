"""merge tells what the rest of a configuration takes away from the rules, and adds to our job what keeps it there."""

from __future__ import annotations

import re
import time

import pytest
import yaml

from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from kronos_mixin.merge.prometheusyml import to_data, tree
from kronos_mixin.merge.surroundings import Surroundings
from proof.servers import binaries
from proof.servers.prometheus import Prometheus

GUIDE = mixin_path().parent / "monitoring" / "README.md"


@pytest.fixture(scope="module")
def mixin():
    return evaluate(mixin_path(), {"kronos": {"job": "f"}})


def warnings(mixin, job, section="{}"):
    configuration = to_data(("map", "", {("scalar", "", k): v for k, v in tree(f"global: {section}").items()}))
    job = to_data(next(iter(tree(f"job: {{job_name: f, {job}}}").values())))
    return "\n".join(Surroundings(mixin, configuration, [job, {"job_name": "forecasts"}]).warnings([]))


@pytest.mark.parametrize(
    ("job", "section", "message"),
    [
        ("scrape_interval: 2m", "{}", "is scraped every 2m, but "),
        (
            "",
            "{scrape_interval: 90s}",
            "rateWindow is 5m: must hold 4 scrapes, which are 90s apart, and so be at least 6m",
        ),
        ("scrape_interval: 5m", "{}", "has a scrape_interval that is 5m: must be at most 2m30s"),
        ("", "{convert_classic_histograms_to_nhcb: true}", "takes away the buckets that the rules read"),
        ("convert_classic_histograms_to_nhcb: true", "{}", "takes away the buckets"),
        ("static_configs: [{labels: {stage: prod, env: a}}]", "{}", "gives its targets the label stage, which"),
        (
            "relabel_configs: [{target_label: client}, {target_label: x}]",
            "{}",
            "gives its targets the label client, which",
        ),
        ("relabel_configs: [{action: labelmap}]", "{}", "maps labels of discovery"),
        (
            "relabel_configs: [{target_label: job, replacement: other}]",
            "{}",
            "has its label job rewritten in relabel_con",
        ),
        ("relabel_configs: [{target_label: instance, replacement: a}]", "{}", "every target the same instance"),
        (
            "metric_relabel_configs: [{action: labeldrop, regex: 'st.*'}]",
            "{}",
            "loses the label stage, status by labeldr",
        ),
        ("metric_relabel_configs: [{action: labelkeep, regex: 'job|instance'}]", "{}", "loses the label "),
        (
            "metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: '.*_bucket'}]",
            "{}",
            "_bucket and ",
        ),
        (
            "metric_relabel_configs: [{action: keep, source_labels: [__name__], regex: 'kronos_errors_total'}]",
            "{}",
            "by keep in metric_relabel_configs",
        ),
    ],
)
def test_what_rules_would_miss(mixin, job, section, message):
    assert message in warnings(mixin, job, section)


@pytest.mark.parametrize(
    ("job", "section"),
    [
        ("", "{}"),
        ("scrape_interval: 15s", "{scrape_interval: 5m}"),
        ("convert_classic_histograms_to_nhcb: false", "{convert_classic_histograms_to_nhcb: true}"),
        ("always_scrape_classic_histograms: true", "{convert_classic_histograms_to_nhcb: true}"),
        (
            "honor_labels: true, static_configs: [{labels: {stage: prod}}], relabel_configs: [{action: labelmap}]",
            "{}",
        ),
        ("static_configs: [{labels: {cluster: a}}], relabel_configs: [{target_label: pod}]", "{}"),
        ("relabel_configs: [{target_label: instance, source_labels: [__meta_pod]}]", "{}"),
        ("metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: 'go_.*'}]", "{}"),
        ("metric_relabel_configs: [{action: labeldrop, regex: 'pod'}]", "{}"),
    ],
)
def test_what_does_them_no_harm(mixin, job, section):
    assert warnings(mixin, job, section) == ""


def test_rules_are_not_added_to_a_shard(call, tmp_path):
    """Unless they are those for one, or the job comes without them."""
    (example,) = re.findall(r"```yaml\n(# On shard 0 of 2.*?)```", GUIDE.read_text(), re.DOTALL)
    config = tmp_path / "prometheus.yml"
    config.write_text(example)
    (tmp_path / "shard.yml").write_text("kronos: {shard: true}\n")
    arguments = ("merge", config, "--rules-only", "--no-scrape-only", "--yes")
    refused = call(*arguments, code=1).stderr
    assert "scrapes 1 of 2 parts of the targets of the job kronos-api, by hashmod" in refused
    assert "(--scrape-only)" in refused
    assert config.read_text() == example
    call(*arguments, "--config", "shard.yml")
    alerts = (tmp_path / "kronos-mixin" / "kronos-alerts.yml").read_text()
    assert "KronosModelStuck" in alerts
    assert "KronosHighErrorRate" not in alerts


def test_a_job_of_ours_that_was_made_a_shard(call, tmp_path):
    config = tmp_path / "prometheus.yml"
    config.write_text("")
    call("merge", config, "--target", "f:8000", "--yes")
    divided = """relabel_configs:
        [{source_labels: [__address__], modulus: 2, target_label: __part, action: hashmod},
         {source_labels: [__part], regex: 0, action: keep}]"""
    config.write_text(re.sub(r"( +)static_configs:", rf"\1{divided}\n\g<0>", config.read_text()))
    assert "scrapes 1 of 2 parts" in call("merge", config, "--yes", code=1).stderr
    call("merge", config, "--scrape-only", "--yes")
    left = yaml.safe_load(config.read_text())
    assert not left.get("rule_files")
    assert left["scrape_configs"][0]["relabel_configs"][0]["action"] == "hashmod"


def test_a_job_that_is_not_there(call, tmp_path):
    config = tmp_path / "prometheus.yml"
    (tmp_path / "jobs.yml").write_text("scrape_configs: [{job_name: forecasts}]")
    config.write_text("scrape_config_files: [jobs.yml]\n")
    said = call("merge", config, "--job", "forecast", "--rules-only", "--yes").stderr
    assert "select by the job forecast, which this configuration does not scrape: did you mean forecasts?" in said
    assert "does not scrape" not in call("merge", config, "--job", "forecasts", "--yes").stderr


def test_our_job_keeps_its_classic_histograms(call, tmp_path):
    """A real server that converts all others: its own histograms, scraped by our job and by another."""
    tools = binaries.newest()
    if tools.release < (3, 5):
        pytest.skip("an older Prometheus does not convert histograms globally")
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, convert_classic_histograms_to_nhcb: true}\nscrape_configs:\n"
        "  - job_name: other\n    static_configs: [{targets: []}]\n"
    )
    (tmp_path / "mine.yml").write_text(
        "kronos: {rateWindow: 1m, evaluationInterval: 1s, scrape: {interval: 1s, timeout: 1s, path: /metrics}}"
    )
    with Prometheus(tools, config, flags=["--enable-feature=native-histograms"]) as prometheus:
        address = prometheus.url.removeprefix("http://")
        config.write_text(config.read_text().replace("targets: []", f"targets: ['{address}']"))
        call("merge", config, "--config", "mine.yml", "--target", address, "--yes", "--reload", prometheus.url)
        jobs = {job["job_name"]: job for job in yaml.safe_load(config.read_text())["scrape_configs"]}
        assert jobs["kronos-api"]["convert_classic_histograms_to_nhcb"] is False
        histogram = "prometheus_http_response_size_bytes"
        found: dict[str, set[str]] = {}
        deadline = time.monotonic() + 60
        while found.keys() != {"other", "kronos-api"} and time.monotonic() < deadline:
            names = prometheus.query(f'count by (job, __name__) ({{__name__=~"{histogram}|{histogram}_bucket"}})')
            found = {}
            for sample in names:
                found.setdefault(sample.labels["job"], set()).add(sample.labels["__name__"])
            time.sleep(0.1)
        assert found == {"other": {histogram}, "kronos-api": {f"{histogram}_bucket"}}
