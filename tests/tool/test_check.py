"""Each gate, proven by a fault that is sown for it."""

from __future__ import annotations

import copy
import shutil

import pytest

from kronos_mixin.check import check
from kronos_mixin.compile import render, write
from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.jsonnet import Mixin, evaluate
from proof import binaries

COMPILED = evaluate(mixin_path())


@pytest.fixture
def mixin() -> Mixin:
    return copy.deepcopy(COMPILED)


@pytest.fixture
def findings(tmp_path):
    def findings(mixin: Mixin) -> list[str]:
        files = render(mixin)
        write(files, tmp_path)
        return [str(finding) for finding in check(mixin, load_contract(), files, tmp_path)]

    return findings


def rule(mixin: Mixin, name: str) -> dict:
    groups = [*mixin.rules, *mixin.alerts]
    return next(r for group in groups for r in group["rules"] if name in (r.get("record"), r.get("alert")))


def test_our_own_mixin_has_no_findings(mixin, findings):
    assert findings(mixin) == []


def test_committed_files_are_up_to_date(mixin):
    output = mixin_path().parent / "monitoring"
    assert [str(f) for f in check(mixin, load_contract(), render(mixin), output)] == []


def test_drift(mixin, tmp_path):
    files = render(mixin)
    write(files, tmp_path)
    alerts = tmp_path / "prometheus" / "kronos-alerts.yml"
    alerts.write_text(alerts.read_text() + "\n")
    (tmp_path / "prometheus" / "kronos-rules.yml").unlink()
    (tmp_path / "grafana" / "kronos-old.json").write_text("{}")
    (tmp_path / "grafana" / "somebody-elses.json").write_text("{}")
    messages = [str(f) for f in check(mixin, load_contract(), files, tmp_path)]
    assert len(messages) == 3
    assert messages[0].startswith("prometheus/kronos-rules.yml: is missing")
    assert messages[1].startswith("prometheus/kronos-alerts.yml: is not what the mixin compiles to")
    assert messages[2].startswith("grafana/kronos-old.json: is not made by the mixin any more")


@pytest.mark.parametrize(
    ("name", "old", "new", "finding"),
    [
        ("job_route:kronos_requests_failed:rate5m", "status=~", "state=~", "matches state"),
        (
            "job_route_status:kronos_requests:rate5m",
            "kronos_requests_total",
            "kronos_request_total",
            "nothing exposes",
        ),
        ("job_route_status:kronos_requests:rate5m", "route, status)", "route, state)", "groups by state"),
        ("KronosHighErrorRate", ">= 2.5", ">= ", "is not PromQL"),
        ("KronosHighErrorRate", "failed:ratio_rate5m", "failed:ratio_rate1m", "reads job_route:"),
        ("KronosHighMemoryUsage", "kronos_memory_limit_bytes", "kronos_concurrent_requests", "never matches"),
    ],
)
def test_a_fault_in_an_expression(mixin, findings, name, old, new, finding):
    faulty = rule(mixin, name)
    assert old in faulty["expr"]
    faulty["expr"] = faulty["expr"].replace(old, new)
    found = findings(mixin)
    assert any(f": {name}: " in line and finding in line for line in found), found


def test_an_annotation_shows_a_label_that_is_not_there(mixin, findings):
    rule(mixin, "KronosServiceDown")["annotations"]["description"] += " on {{ $labels.instance }}"
    assert findings(mixin) == [
        (
            "prometheus/kronos-alerts.yml: KronosServiceDown: description shows the label instance, "
            "which the result does not have"
        )
    ]


def panel(mixin: Mixin, title: str) -> dict:
    panels = mixin.dashboards["kronos-dashboard.json"]["panels"]
    return next(panel for panel in panels if panel["title"].startswith(title))


def test_a_legend_shows_a_label_that_is_not_there(mixin, findings):
    panel(mixin, "Request rate")["targets"][0]["legendFormat"] = "{{status}} {{instance}}"
    assert findings(mixin) == [
        (
            "grafana/kronos-dashboard.json: panel 'Request rate (5m)' A: the legend shows the label instance, "
            "which the result does not have"
        )
    ]


def test_a_panel_reads_what_nothing_records(mixin, findings):
    target = panel(mixin, "Security events")["targets"][0]
    target["expr"] = target["expr"].replace("job_reason:", "job_reasons:")
    assert any("panel 'Security events" in line and "nothing exposes or records" in line for line in findings(mixin))


def test_a_variable_asks_for_a_label_that_is_not_there(mixin, findings):
    variables = mixin.dashboards["kronos-dashboard.json"]["templating"]["list"]
    status = next(variable for variable in variables if variable["name"] == "status")
    status["query"]["query"] = status["query"]["query"].replace(", status)", ", state)")
    assert any("variable $status" in line and "state" in line for line in findings(mixin))


def test_a_recorded_series_that_nobody_reads(mixin, findings):
    mixin.rules[0]["rules"].append({"record": "job:kronos_ready:min", "expr": "min by (job) (kronos_model_ready)"})
    assert findings(mixin) == [
        "prometheus/kronos-rules.yml: job:kronos_ready:min: is recorded, but no rule, alert or panel reads it"
    ]


def test_promtool_is_asked(mixin, findings, monkeypatch):
    # A template that does not parse: nothing but promtool looks into those.
    rule(mixin, "KronosServiceDown")["annotations"]["summary"] = "{{ $value | humanise }}"
    promtool = binaries.newest().promtool
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert findings(mixin) == []
    monkeypatch.setattr(shutil, "which", lambda name: str(promtool) if name == "promtool" else None)
    found = findings(mixin)
    assert len(found) == 1
    assert "humanise" in found[0]
