"""The form of alerts: faults in a rule, and what is found."""

from __future__ import annotations

import copy

import pytest

from tests.tool.check.parts import rule


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
