"""What expressions read, and which labels are shown."""

from __future__ import annotations

import pytest

from tests.tool.check.parts import panel, rule


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
        ("KronosHighErrorRate", ">= 2.5", ">= ", "is no PromQL"),
        ("KronosHighErrorRate", "failed:ratio_rate5m", "failed:ratio_rate1m", "reads job_route:"),
        ("KronosHighMemoryUsage", "kronos_memory_limit_bytes", "kronos_concurrent_requests", "never matches"),
        # Values of labels whose values are known: a status, a route, a bucket.
        (
            "job_route:kronos_requests_timed_out:rate5m",
            '"timeout"',
            '"timed_out"',
            "which status of job_route_status",
        ),
        ("job_route:kronos_requests_failed:increase1h", "error|", "erorr|", "matches status=~'erorr'"),
        ("job_route:kronos_requests_timed:rate5m", "/v1/predict/single", "/v1/predict", "which route of"),
        ("job_route:kronos_requests_timed:rate5m", 'le=~"5(', 'le=~"6(', "matches le=~'6([.]0)?'"),
        # A status that there is, but not of that metric: what is refused is not timed.
        ("job_route:kronos_requests_timed:rate5m", "error|", "overloaded|", "matches status!~'overloaded'"),
    ],
)
def test_a_fault_in_an_expression(mixin, findings, name, old, new, finding):
    faulty = rule(mixin, name)
    assert old in faulty["expr"]
    faulty["expr"] = faulty["expr"].replace(old, new)
    found = findings(mixin)
    assert any(f": {name}: " in line and finding in line for line in found), found


def test_an_annotation_shows_a_label_that_is_not_there(mixin, findings):
    rule(mixin, "KronosServiceDown")["annotations"]["description"] += " On {{ $labels.instance }}."
    assert findings(mixin) == [
        (
            "prometheus/kronos-alerts.yml: KronosServiceDown: description shows the label instance, "
            "which the result does not have"
        )
    ]


def test_a_legend_shows_a_label_that_is_not_there(mixin, findings):
    panel(mixin, "Request rate")["targets"][0]["legendFormat"] = "{{status}} {{instance}}"
    (finding,) = findings(mixin)
    assert finding.startswith("grafana/kronos-dashboard.json: panel 'Request rate")
    assert finding.endswith(" A: the legend shows the label instance, which the result does not have")


def test_a_panel_reads_what_nothing_records(mixin, findings):
    target = panel(mixin, "Security events")["targets"][0]
    target["expr"] = target["expr"].replace("job_reason:", "job_reasons:")
    assert any("panel 'Security events" in line and "nothing exposes or records" in line for line in findings(mixin))


def test_an_annotation_reads_what_nothing_exposes(mixin, findings):
    listed = mixin.dashboards["kronos-slo.json"]["annotations"]["list"]
    alerts = next(annotation for annotation in listed if "ALERTS" in annotation["expr"])
    alerts["expr"] = alerts["expr"].replace("ALERTS", "ALERT")
    assert findings(mixin) == [
        f"grafana/kronos-slo.json: annotation {alerts['name']!r}: reads ALERT, which nothing exposes or records"
    ]


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


def test_a_series_that_its_group_records_later(mixin, findings):
    group = next(group for group in mixin.rules if group["name"] == "kronos-requests:kronos-api")
    group["rules"].reverse()
    late = "reads job_route_status:kronos_requests:rate5m, which its group records later"
    assert any(f": job_route:kronos_requests_eligible:rate5m: {late}" in line for line in findings(mixin))
