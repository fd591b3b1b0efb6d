"""What an alert says, and where it leads: in the words of its own labels, and with its value in the right unit."""

from __future__ import annotations

import re

import pytest

from kronos_mixin import promql, series
from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.jsonnet import evaluate

OFF = ("KronosRayQueue", "KronosRayRequestsLost", "KronosTrafficDropped")
MIXIN = evaluate(mixin_path(), {"kronos": {"alerts": {name: {"enabled": True} for name in OFF}}})
KNOWN = series.known(MIXIN, load_contract())
RULES = [rule for group in (*MIXIN.alerts, *MIXIN.central) for rule in group["rules"]]
DASHBOARDS = {board["uid"]: board for board in MIXIN.dashboards.values()}

PLACE = {"cluster", "namespace", "job"}
TOLD_BY_NAME = {"histogram", "long", "short", "severity"}
"""Labels of the rule itself, which its description puts in words."""

# The dashboard that shows what each alert is about, and how its value is written.
SHARE, SECONDS, NUMBER, WHOLE, NONE = "humanizePercentage", "humanizeDuration", "humanize", "", None
ALERTS = {
    "KronosClusterSilent": ("overview", NONE),
    "KronosErrorBudgetBurn": ("slo", SHARE),
    "KronosEventLoopBlocked": ("instances", SECONDS),
    "KronosExcessiveRateLimiting": ("overview", NUMBER),
    "KronosHighErrorRate": ("overview", SHARE),
    "KronosHighGpuMemoryUsage": ("instances", SHARE),
    "KronosHighLatency": ("inference", SHARE),
    "KronosHighMemoryUsage": ("instances", SHARE),
    "KronosHighTimeoutRate": ("inference", SHARE),
    "KronosHistogramsMissing": ("inference", NONE),
    "KronosInstanceNotReady": ("instances", NONE),
    "KronosLabelsTaken": ("instances", NONE),
    "KronosLatencyBudgetBurn": ("slo", SHARE),
    "KronosLogLinesLost": ("instances", NUMBER),
    "KronosMetricsMissing": ("instances", NONE),
    "KronosModelNotReady": ("instances", NONE),
    "KronosModelStuck": ("instances", SECONDS),
    "KronosNothingSucceeds": ("overview", NUMBER),
    "KronosQueueSaturated": ("inference", SHARE),
    "KronosRayQueue": ("overview", WHOLE),
    "KronosRayRequestsLost": ("overview", NUMBER),
    "KronosRestarting": ("instances", WHOLE),
    "KronosRestartingEverywhere": ("instances", SHARE),
    "KronosRulesMissing": ("overview", NONE),
    "KronosServiceDown": ("overview", SHARE),
    "KronosSlowInference": ("inference", SHARE),
    "KronosTargetDown": ("instances", NONE),
    "KronosTargetMissing": ("overview", NONE),
    "KronosTrafficDropped": ("overview", NUMBER),
    "KronosVersionSkew": ("instances", WHOLE),
}


def labels(rule):
    """The labels of the alert, without those that every alert has."""
    found = promql.read(rule["expr"], KNOWN).labels
    return (found.keys() | rule["labels"].keys()) - TOLD_BY_NAME


def test_every_alert_is_told():
    assert {rule["alert"] for rule in RULES} == ALERTS.keys()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: " ".join([rule["alert"], *rule["labels"].values()]))
def test_a_description(rule):
    text = rule["annotations"]["description"]
    assert set(re.findall(r"\$labels\.(\w+)", text)) == labels(rule) | PLACE
    assert rule["annotations"]["runbook_url"] == f"https://runbooks.example.com/kronos/{rule['alert']}.md"
    values = [match.partition("|")[2].strip() for match in re.findall(r"{{ (\$value[^}]*?) }}", text)]
    assert values == ([] if ALERTS[rule["alert"]][1] is None else [ALERTS[rule["alert"]][1]])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: " ".join([rule["alert"], *rule["labels"].values()]))
def test_a_link(rule):
    """All labels of the alert that the dashboard has variables for are chosen, and no others."""
    url = rule["annotations"]["dashboard_url"]
    (uid,) = re.findall(r"/d/([\w-]+)\?", url)
    assert uid == f"kronos-{ALERTS[rule['alert']][0]}"
    variables = {one["name"] for one in DASHBOARDS[uid]["templating"]["list"]}
    assert set(re.findall(r"\bvar-(\w+)=", url)) == (labels(rule) | PLACE) & variables
    for name, value in re.findall(r"\bvar-(\w+)={{ (?:\$labels)?\.(\w*) ?\|? ?urlquery }}", url):
        assert value in {name, ""}


def test_labels_of_rules():
    """Those that tell the rules of one alert apart."""
    for rule in RULES:
        own = {"long", "short"} if rule["alert"].endswith("Burn") else set()
        own |= {"histogram"} if rule["alert"] == "KronosHistogramsMissing" else set()
        assert rule["labels"].keys() == own | {"severity"}, rule["alert"]
