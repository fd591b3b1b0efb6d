"""Each gate, proven by a fault that is sown for it."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil

import pytest

from kronos_mixin.check import dashboards, expressions, linter, runbooks, series
from kronos_mixin.check.ours import check
from kronos_mixin.compile import render, targets_in, write
from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.jsonnet import Mixin, evaluate
from proof import binaries

COMPILED = evaluate(mixin_path())
TEXT = json.dumps(dataclasses.asdict(COMPILED))
RUNBOOKS = mixin_path() / "runbooks"


@pytest.fixture
def mixin() -> Mixin:
    return Mixin(**json.loads(TEXT))  # Faster than a deep copy.


@pytest.fixture
def findings(tmp_path):
    """What is found in a mixin that nobody has compiled."""
    contract = load_contract()
    return lambda mixin: [str(finding) for finding in check(mixin, contract, {}, tmp_path)]


@pytest.fixture
def findings_compiled(tmp_path):
    """What is found in a mixin and the files that it was compiled to."""

    def findings(mixin: Mixin) -> list[str]:
        files = render(mixin)
        write(files, tmp_path)
        return [str(finding) for finding in check(mixin, load_contract(), files, tmp_path)]

    return findings


def rule(mixin: Mixin, name: str) -> dict:
    groups = [*mixin.rules, *mixin.alerts]
    return next(r for group in groups for r in group["rules"] if name in (r.get("record"), r.get("alert")))


def test_our_own_mixin_has_no_findings(mixin, findings_compiled):
    assert findings_compiled(mixin) == []


def test_committed_files_are_up_to_date(mixin):
    output = mixin_path().parent / "monitoring"
    assert [str(f) for f in check(mixin, load_contract(), render(mixin, targets_in(output)), output)] == []


def test_drift(mixin, tmp_path):
    files = render(mixin)
    write({**files, "grafana/kronos-old.json": "{}"}, tmp_path)
    alerts = tmp_path / "prometheus" / "kronos-alerts.yml"
    alerts.write_text(alerts.read_text() + "\n")
    (tmp_path / "prometheus" / "kronos-rules.yml").unlink()
    (tmp_path / "grafana" / "kronos-somebody-elses.json").write_text("{}")
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
        # Values of labels whose values are known: a status, a route, a bucket.
        (
            "job_route:kronos_requests_timed_out:rate5m",
            '"timeout"',
            '"timed_out"',
            "which status of job_route_status",
        ),
        ("job_route:kronos_requests_failed:increase1h", "error|", "erorr|", "matches status=~'erorr'"),
        ("job_route:kronos_requests_timed:rate5m", "/v1/predict/single", "/v1/predict", "which route of"),
        ("job_route:kronos_requests_timed:rate5m", 'le="5.0"', 'le="5"', "matches le='5'"),
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


def panel(mixin: Mixin, title: str) -> dict:
    panels = mixin.dashboards["kronos-dashboard.json"]["panels"]
    return next(panel for panel in panels if panel["title"].startswith(title))


def test_a_legend_shows_a_label_that_is_not_there(mixin, findings):
    panel(mixin, "Request rate")["targets"][0]["legendFormat"] = "{{route}} {{instance}}"
    assert findings(mixin) == [
        (
            "grafana/kronos-dashboard.json: panel 'Request rate (5m)' A: the legend shows the label instance, "
            "which the result does not have"
        )
    ]


def test_a_panel_reads_what_nothing_records(mixin, findings):
    target = panel(mixin, "Security events")["targets"][1]
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


def test_promtool_is_asked(mixin, findings_compiled, monkeypatch):
    # Nothing but promtool reads durations.
    rule(mixin, "KronosServiceDown")["for"] = "5 minutes"
    promtool = binaries.newest().promtool
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert findings_compiled(mixin) == []
    monkeypatch.setattr(shutil, "which", lambda name: str(promtool) if name == "promtool" else None)
    found = findings_compiled(mixin)
    assert len(found) == 1
    assert "5 minutes" in found[0]


def test_findings_come_in_the_order_of_the_files(mixin, findings_compiled):
    del rule(mixin, "KronosServiceDown")["for"]
    rule(mixin, "job_client:kronos_rate_limited:rate5m")["expr"] += " +"
    panel(mixin, "Request rate")["title"] = ""
    files = [line.split(":")[0] for line in findings_compiled(mixin)]
    assert files[0] == "grafana/kronos-dashboard.json"
    assert files[-2:] == ["prometheus/kronos-rules.yml", "prometheus/kronos-alerts.yml"]


# Alerts: a fault to sow into a rule, and what is found.


def annotated(name: str, text: str):
    return lambda alert: alert["annotations"].update({name: text})


@pytest.mark.parametrize(
    ("fault", "finding"),
    [
        (lambda alert: alert.update(alert="Kronos_service_down"), "is no CamelCase name"),
        (lambda alert: alert.update(alert="ServiceDown"), "is no CamelCase name that begins with Kronos"),
        (lambda alert: alert["labels"].update(severity="page"), "has the severity page"),
        (lambda alert: alert["labels"].pop("severity"), "has the severity None"),
        (lambda alert: alert.pop("for"), "how long its condition must hold"),
        (lambda alert: alert["labels"].update(where="{{ $labels.zone }}"), "label where shows the label zone"),
        (lambda alert: alert["labels"].update(where="{{ $label.job }}"), "label where uses $label, which is not set"),
        (lambda alert: alert["annotations"].pop("summary"), "summary is no sentence"),
        (lambda alert: alert["annotations"].pop("description"), "description is no sentence"),
        (annotated("summary", "Kronos is down"), "summary is no sentence"),
        (annotated("summary", "Job {{ $labels.job }} is down."), "summary has a template"),
        (annotated("description", "{{ $value | humanise }} are up."), "description calls humanise"),
        (annotated("description", "{{ with $labels.cluster }}In {{ . }}."), "without its end"),
        (annotated("description", "{{ $value | humanize } are up."), "description has braces that are not closed"),
        (annotated("description", "{{ $values }} are up."), "description uses $values"),
        (annotated("description", "Of {{ $labels.zone }}."), "description shows the label zone"),
        (annotated("runbook_url", "https://runbooks.example.com/KronosDown.md"), "runbook_url does not lead to"),
        (annotated("runbook_url", "runbooks/KronosServiceDown.md"), "runbook_url is no address"),
        (lambda alert: alert["annotations"].pop("runbook_url"), "runbook_url does not lead to"),
        (annotated("dashboard_url", "https://g.example.com/d/kronos-over?a=b"), "leads to no dashboard"),
        (
            annotated(
                "dashboard_url", "https://g.example.com/d/kronos-overview?var-zone={{ $labels.job | urlquery }}"
            ),
            "dashboard_url chooses the variable zone",
        ),
        (
            annotated("dashboard_url", "https://g.example.com/d/kronos-overview?var-job={{ .zone | urlQuery }}"),
            "dashboard_url calls urlQuery",
        ),
        (
            annotated("dashboard_url", "https://g.example.com/d/kronos-overview?var-job={{ $labels.zone }}"),
            "dashboard_url shows the label zone",
        ),
    ],
)
def test_a_fault_in_the_form_of_an_alert(mixin, findings, fault, finding):
    fault(rule(mixin, "KronosServiceDown"))
    assert any("kronos-alerts.yml: " in line and finding in line for line in findings(mixin)), findings(mixin)


def test_templates_that_are_right(mixin, findings):
    rule(mixin, "KronosServiceDown")["annotations"]["description"] = (
        '{{/* Not said. */}}{{ $up := printf "%.2f" $value -}} {{ if gt $value 0.2 }}{{ $up }}{{ else }}0{{ end }}'
        '{{ range $i, $v := query `up{job="a"}` }}{{ $i }} {{ .Value | humanize }}{{ end }}, {{ $externalURL }}.'
    )
    assert findings(mixin) == []


def test_the_same_alert_twice(mixin, findings):
    group = mixin.alerts[0]["rules"]
    group.append(copy.deepcopy(group[0]))
    assert any("has the same name and labels as another rule" in line for line in findings(mixin))


@pytest.mark.parametrize(
    ("key", "value", "finding"),
    [
        ("source_matchers", ['alertname=~"KronosDown"'], "source: matches no alert"),
        ("target_matchers", ['alertname="KronosHighErrorRate"', 'severity="info"'], "target: matches no alert"),
        ("equal", ["job", "route"], "is equal on route, which KronosServiceDown does not have"),
    ],
)
def test_an_inhibition_that_never_acts(mixin, findings, key, value, finding):
    mixin.alertmanager["inhibit_rules"][0][key] = value
    found = findings(mixin)
    assert any(line.startswith("alertmanager/alertmanager-example.yml: ") and finding in line for line in found), (
        found
    )


# Dashboards: faults in one panel, in a variable, and in a dashboard as a whole.


def defaults(**values):
    return lambda panel: panel["fieldConfig"]["defaults"].update(values)


def override(matcher="byRegexp", **item):
    item = {"matcher": {"id": matcher, "options": "x"}, "properties": [item]}
    return lambda panel: panel["fieldConfig"]["overrides"].append(item)


def target(number=0, **values):
    return lambda panel: panel["targets"][number].update(values)


def link(url):
    return lambda panel: panel["links"].append({"title": "There", "url": url})


def steps(*steps):
    return defaults(thresholds={"mode": "absolute", "steps": list(steps)})


GREEN = {"value": None, "color": "green"}


@pytest.mark.parametrize(
    ("fault", "finding"),
    [
        (lambda panel: panel.update(title=" "), "has no title"),
        (lambda panel: panel.pop("description"), "has no description"),
        (lambda panel: panel["fieldConfig"]["defaults"].pop("unit"), "has no unit"),
        (defaults(unit="requests/s"), "'requests/s' is not among the units that @grafana/data"),
        (defaults(color={"mode": "palette"}), "'palette' is not among the colorModes"),
        (defaults(color={"mode": "fixed", "fixedColor": "grene"}), "'grene' is not among the colors"),
        (defaults(color={"mode": "fixed", "fixedColor": "#00ff0"}), "'#00ff0' is not among the colors"),
        (lambda panel: panel["options"]["legend"].update(calcs=["lastNotnull"]), "not among the reducers"),
        (lambda panel: panel.update(transformations=[{"id": "renameByRegexp"}]), "not among the transformers"),
        (override("byRegex", id="unit", value="s"), "'byRegex' is not among the matchers"),
        (override(id="units", value="s"), "'units' is not among the properties"),
        (override(value="s"), "'None' is not among the properties"),
        (override(id="unit", value="sec"), "'sec' is not among the units"),
        (steps(GREEN, {"value": 1}), "the threshold step at 1 has no color"),
        (steps(GREEN, {"value": 1, "color": "rde"}), "'rde' is not among the colors"),
        (steps(GREEN, {"value": 2, "color": "red"}, {"value": 1, "color": "blue"}), "do not begin at null and rise"),
        (steps({"value": 2, "color": "red"}), "do not begin at null and rise"),
        (target(refId="B", legendFormat=""), "query B has no legend"),
        (target(legendFormat="requests"), "does not tell lines apart that differ in route"),
        (target(legendFormat="{{status}}"), "does not tell lines apart that differ in route"),
        (target(datasource={"type": "prometheus", "uid": "mine"}), "query A asks another data source"),
        (lambda panel: panel["targets"].append(dict(panel["targets"][0])), "has two queries under one letter"),
        (
            lambda panel: panel["targets"].append({**panel["targets"][0], "refId": "B"}),
            "lines of A and B would both be called '/v1/predict/batch'",
        ),
        (link("/d/kronos-nowhere?${job:queryparam}"), "leads to kronos-nowhere, which is no dashboard"),
        (link("/d/kronos-slo?${route:queryparam}"), "carries route, which kronos-slo does not have"),
        (link("/d/kronos-slo?${zone:queryparam}"), "uses the variable zone"),
        (
            defaults(links=[{"title": "Log", "url": "https://l/?i=${__field.labels.instance}"}]),
            "a link shows the label",
        ),
        (lambda panel: panel["gridPos"].update(x=20), "reaches out of the grid"),
        (lambda panel: panel["gridPos"].update(y=0), "lies over"),
        (lambda panel: panel["gridPos"].update(w=4.8), "has no place on the grid in whole numbers"),
        (lambda panel: panel.update(id=1), "has two panels with the id 1"),
        (target(expr='sum by (job) (up{job=~"$jobs"})', legendFormat="{{job}}"), "uses the variable jobs"),
    ],
)
def test_a_fault_in_a_panel(mixin, findings, fault, finding):
    fault(panel(mixin, "Request rate"))
    found = findings(mixin)
    assert any(line.startswith("grafana/kronos-dashboard.json: ") and finding in line for line in found), found


def test_lines_that_share_a_name_by_a_value(mixin, findings):
    # `inference` is a type of error and a stage of timeouts.
    timeouts, errors = panel(mixin, "Timeout rate"), panel(mixin, "Error rate and types")
    timeouts["targets"].append({**errors["targets"][0], "refId": "Z"})
    assert findings(mixin) == [
        "grafana/kronos-dashboard.json: panel 'Timeout rate (5m)': lines of A and Z would both be called 'inference'"
    ]


def test_a_value_that_the_query_fixes_needs_no_legend(mixin, findings):
    one = panel(mixin, "Requests by status")["targets"][0]
    one["expr"] = one["expr"].replace('status=~"$status"', 'status="success", status=~"$status"')
    one["legendFormat"] = "all"
    assert findings(mixin) == []


def dashboard(mixin: Mixin, name: str) -> dict:
    return mixin.dashboards[f"kronos-{name}.json"]


def variable(mixin: Mixin, name: str) -> dict:
    return next(v for v in dashboard(mixin, "dashboard")["templating"]["list"] if v["name"] == name)


def test_a_variable_that_no_panel_uses(mixin, findings):
    variables = dashboard(mixin, "slo")["templating"]["list"]
    variables.append({**copy.deepcopy(variable(mixin, "route")), "name": "batch"})
    assert findings(mixin) == ["grafana/kronos-slo.json: has the variable batch, which no panel uses"]


@pytest.mark.parametrize(
    ("uid", "finding"),
    [("kronos-overview", "has the uid kronos-overview, as another dashboard has"), ("kronos slo", "'kronos slo'")],
)
def test_a_uid(mixin, findings, uid, finding):
    dashboard(mixin, "slo")["uid"] = uid
    assert any(line.startswith("grafana/kronos-slo.json: ") and finding in line for line in findings(mixin))


# The community's linter.


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("uneditable-dashboard", lambda mixin: dashboard(mixin, "dashboard").update(editable=True)),
        ("template-datasource-rule", lambda mixin: variable(mixin, "datasource").update(label="Source")),
        ("template-datasource-rule", lambda mixin: variable(mixin, "job").update(datasource=None)),
        ("template-job-rule", lambda mixin: variable(mixin, "job").update(allValue=".*")),
        ("template-job-rule", lambda mixin: variable(mixin, "job").update(name="jobs")),
        ("template-on-time-change-reload-rule", lambda mixin: variable(mixin, "route").update(refresh=1)),
        ("panel-datasource-rule", lambda mixin: panel(mixin, "Request rate").update(datasource="Prometheus")),
        ("target-job-rule", lambda mixin: target(expr="sum(up)", legendFormat="up")(panel(mixin, "Request rate"))),
        (
            "target-instance-rule",
            lambda mixin: target(expr="sum(up)", legendFormat="up")(panel(mixin, "Request rate")),
        ),
        (
            "target-counter-agg-rule",
            lambda mixin: target(expr="sum(kronos_requests_total)", legendFormat="all")(panel(mixin, "Request rate")),
        ),
        (
            "target-counter-agg-rule",
            lambda mixin: target(expr="sum(kronos_queue_wait_seconds_sum)", legendFormat="all")(
                panel(mixin, "Request rate")
            ),
        ),
        (
            "target-rate-interval-rule",
            lambda mixin: target(expr="sum(rate(kronos_requests_total[5m]))", legendFormat="all")(
                panel(mixin, "Request rate")
            ),
        ),
    ],
)
def test_the_linter(mixin, findings, rule, fault):
    fault(mixin)
    assert any(line.startswith("grafana/kronos-dashboard.json: ") and f"({rule})" in line for line in findings(mixin))


def test_every_waiver_is_needed_and_says_why(mixin):
    contract = load_contract()
    read = expressions.all_of(mixin, series.known(mixin, contract))
    for waiver in linter.WAIVERS:
        assert len(waiver.reason) > 20
        others = [other for other in linter.WAIVERS if other != waiver]
        found = [str(finding) for finding in linter.check(mixin, contract, read, others)]
        assert found
        assert all(f"({waiver.rule})" in line for line in found)
    unneeded = linter.Waiver("target-job-rule", "kronos-slo.json", "No reason at all.")
    (finding,) = linter.check(mixin, contract, read, [*linter.WAIVERS, unneeded])
    assert "target-job-rule: is waived without need" in str(finding)


# Runbooks.


@pytest.fixture
def runbook(tmp_path, mixin):
    """What is found after a change to the runbook of KronosHighErrorRate."""
    folder = tmp_path / "runbooks"
    shutil.copytree(RUNBOOKS, folder)
    known = series.known(mixin, load_contract())

    def change(old: str, new: str) -> list[str]:
        path = folder / "KronosHighErrorRate.md"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return [str(finding) for finding in runbooks.check(mixin, known, folder)]

    return change


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("# KronosHighErrorRate", "# Errors", "does not begin with the heading `# KronosHighErrorRate`"),
        ("## Causes", "## Reasons", "has no section `## Causes`"),
        ("## Impact", "### Impact", "has no section `## Impact`"),
        ("## Mitigation\n", "## Mitigation\n\n## More\n", "has other sections, or in another order"),
        ("```promql", "```sql", None),
        ("```promql", "``promql", "has fewer than three commands or queries"),
        ("## When to silence\n", "## When to silence\n<!--", None),
    ],
)
def test_the_shape_of_a_runbook(runbook, old, new, finding):
    found = runbook(old, new)
    assert (finding is None and found == []) or any(finding in line for line in found), found


def test_the_queries_of_a_runbook(runbook):
    block = '## Causes\n\n```promql\nsum(kronos_request_total)\nsum(up{state="a"})\n```\n'
    assert runbook("## Causes\n", block)[0].endswith("reads kronos_request_total, which nothing exposes or records")
    assert runbook("## Causes\n", "## Causes\n")[1].endswith("matches state, which up does not have")


def test_runbooks_that_are_missing_or_left_over(runbook, mixin):
    mixin.config["alerts"]["KronosOnFire"] = {"enabled": False}
    del mixin.config["alerts"]["KronosServiceDown"]
    assert runbook("#", "#") == [
        "runbooks/KronosOnFire.md: is missing: each alert has a runbook",
        "runbooks/KronosServiceDown.md: is the runbook of no alert",
    ]


def test_the_vocabulary_is_whole():
    """An empty list in it would be noticed at once; a missing one only by whoever first uses it."""
    for kind in ("units", "reducers", "colorModes", "colors", "matchers", "properties", "transformers"):
        assert len(dashboards.vocabulary()[kind]) > 10
    assert dashboards.vocabulary()["source"].startswith("@grafana/data 13.")
