"""All checks of the Kronos mixin together; each has tests of its own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from kronos_mixin.check.ours import check
from kronos_mixin.contract import load_contract, mixin_path
from tests.tool.check.parts import panel, rule


def test_our_own_mixin_has_no_findings(mixin, findings_compiled):
    assert findings_compiled(mixin) == []


def test_findings_come_in_the_order_of_the_files(mixin, findings_compiled):
    del rule(mixin, "KronosServiceDown")["for"]
    rule(mixin, "job_client:kronos_rate_limited:rate5m")["expr"] += " +"
    panel(mixin, "Request rate")["title"] = ""
    files = [line.split(":")[0] for line in findings_compiled(mixin)]
    assert files[0] == "grafana/kronos-dashboard.json"
    assert files[-3:] == ["prometheus/kronos-rules.yml", "prometheus/kronos-alerts.yml", "metrics.json"]


def test_a_metric_that_nothing_reads(mixin, findings):
    for group in mixin.rules:
        group["rules"] = [one for one in group["rules"] if "kronos_cancellations" not in one["expr"]]
    assert "metrics.json: kronos_cancellations_total: is read by no rule, alert or panel" in findings(mixin)


def test_an_example_that_shows_nothing(mixin, tmp_path):
    contract = load_contract()
    name = "kronos_queue_wait_seconds"
    query = f"histogram_quantile(0.95, sum(rate({name}_bucket[5m])))"
    metric = replace(contract.metrics[name], example=replace(contract.metrics[name].example, query=query))
    contract = replace(contract, metrics={**contract.metrics, name: metric})
    found = [str(finding) for finding in check(mixin, contract, {}, tmp_path)]
    assert f"metrics.json: {name}: its example: takes a quantile over le, which its argument does not have" in found


def test_a_group_that_mimir_refuses(mixin, findings):
    group = mixin.rules[0]
    group["rules"] = (group["rules"] * 21)[:21]
    refused = f"group {group['name']}: has 21 rules, but Mimir takes at most 20"
    assert any(refused in found for found in findings(mixin))


def test_a_stale_document(mixin, tmp_path):
    folder = tmp_path / "mixin"
    shutil.copytree(mixin_path(), folder)
    edit(folder / "config.libsonnet", "threshold: '0.01'", "threshold: '0.02'")
    edit(folder / "runbooks" / "README.md", "KronosVersionSkew.md", "KronosVersions.md")
    found = [str(finding) for finding in check(mixin, load_contract(), {}, tmp_path / "monitoring", folder)]
    stale = "is not up to date: run `kronos-mixin generate`, and commit the result"
    assert [line for line in found if line.endswith(stale)] == [
        f"mixin/CONFIG.md: {stale}",
        f"mixin/runbooks/KronosHighErrorRate.md: {stale}",
        f"mixin/runbooks/README.md: {stale}",
    ]
    edit(folder / "runbooks" / "KronosHighLatency.md", "defaults objectives.latency", "defaults objectives.latncy")
    found = [str(finding) for finding in check(mixin, load_contract(), {}, tmp_path / "monitoring", folder)]
    unknown = "KronosHighLatency.md: quotes the knob objectives.latncy.seconds, which does not exist"
    assert any(unknown in line for line in found)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
