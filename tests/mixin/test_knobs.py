"""Every knob has a comment, and is read where it should be and nowhere else."""

from __future__ import annotations

import json
import re

import distinct
import pytest

from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.documents import knobs
from kronos_mixin.jsonnet import evaluate

MIXIN = evaluate(mixin_path(), {"kronos": distinct.KNOBS})
FIELDS = {"for": "for", "keepFiringFor": "keep_firing_for"}
"""Knobs of an alert that are fields of its rule; all others are in its expression."""

BURNS = {"KronosErrorBudgetBurn expr", "KronosLatencyBudgetBurn expr"}
RATIOS = {f"Kronos{name} expr" for name in ("HighErrorRate", "HighLatency", "HighTimeoutRate", "SlowInference")}
KINDS = ("requests_failed", "requests_slow", "requests_timed_out", "model_inferences_slow")
ONGOING = {
    "job:kronos_availability_valid:ongoing",
    "job:kronos_latency_valid:ongoing",
    *(f"job_route:kronos_{name}:ongoing" for name in ("requests_eligible", "requests_timed", "model_inferences")),
}
RATES = {metric.name.removesuffix("_total") for metric in load_contract().metrics.values() if metric.rule_group}

# Who else reads a knob of an alert, and who reads the others.
READERS = {
    "alerts.KronosEventLoopBlocked.threshold": {"Event loop lag"},
    "alerts.KronosHighErrorRate.threshold": {"Error rate and types"},
    "alerts.KronosHighMemoryUsage.threshold": {"Memory usage"},
    "alerts.KronosHighTimeoutRate.threshold": {"Timeout rate"},
    "alerts.KronosModelNotReady.for": BURNS,
    "alerts.KronosModelStuck.threshold": {"Running model call"},
    "alerts.KronosRestarting.threshold": {"KronosRestartingEverywhere expr", "Starts in the last hour"},
    "alerts.KronosServiceDown.threshold": {"KronosTargetDown expr", "Ready steps", "Up steps"},
    "alerts.KronosServiceDown.window": {"KronosTargetDown expr"},
    "objectives.availability.target": {
        "KronosErrorBudgetBurn expr",
        "job:kronos_availability_objective:ratio",
        "Availability steps",
    },
    "objectives.latency.target": {
        "KronosLatencyBudgetBurn expr",
        "job:kronos_latency_objective:ratio",
        "Within latency objective steps",
        "Slow requests",
    },
    "objectives.budgetLow": {"Error budget left steps", "Latency budget left steps"},
    "objectives.retention": {"job:kronos_availability_budget_left:ratio", "job:kronos_latency_budget_left:ratio"},
    "objectives.window": set(),  # The retention is shorter.
    "requests.guardCount": BURNS | RATIOS,
    "requests.guardWindow": ONGOING | {f"job_route:kronos_{kind}:increase" for kind in KINDS},
    "requests.sparseWindow": {
        *ONGOING,
        *RATIOS,
        "KronosHistogramsMissing expr",
        *(f"job_route:kronos_{kind}:ratio_rate" for kind in KINDS),
        "job:kronos_availability_bad:ratio_rate",
        "job:kronos_latency_bad:ratio_rate",
    },
    "evaluationInterval": BURNS | ONGOING,
    "targets.memory": {"job_instance:kronos_targets:seen"},
    "scrape.timeout": set(),
    "scrape.interval": set(),
    "slowEvaluationInterval": set(),
}


def places() -> dict[str, str]:
    """All texts that a knob may be in, by where they are: a rule, or the title of a panel."""
    found: dict[str, str] = {}

    def add(place: str, text: object) -> None:
        found[place] = f"{found.get(place, '')} {text if isinstance(text, str) else json.dumps(text)}"

    for group in (*MIXIN.alerts, *MIXIN.central, *MIXIN.rules):
        for rule in group["rules"]:
            for field in ("expr", "for", "keep_firing_for"):
                name = f"{rule['alert']} {field}" if "alert" in rule else re.sub(r"\d+s$", "", rule["record"])
                add(name, rule.get(field, ""))
    for board in MIXIN.dashboards.values():
        for panel in board["panels"]:
            title = re.sub(r" \(.*", "", panel["title"])
            add(title, [target["expr"] for target in panel["targets"]])
            add(f"{title} steps", panel["fieldConfig"]["defaults"].get("thresholds", ""))
    return found


PLACES = places()


def readers(value: str) -> set[str]:
    """The places that hold a value; durations may have become seconds."""
    pattern = rf"(?<![\w.]){re.escape(value.removesuffix('s'))}(s|\b)(?![.\d])"
    return {place for place, text in PLACES.items() if re.search(pattern, text)}


@pytest.mark.parametrize("path", [path for path in distinct.DISTINCT if path != ("rateWindow",)], ids=".".join)
def test_a_knob_is_read_where_it_should_be(path):
    expected = set(READERS.get(".".join(path), ()))
    if path[0] == "alerts":
        expected.add(f"{path[1]} {FIELDS.get(path[2], 'expr')}")
    assert readers(distinct.DISTINCT[path]) == expected


def test_the_rate_window():
    found = readers(distinct.DISTINCT["rateWindow",])
    assert {re.search(r":(\w+?)(_bucket)?:rate$", name)[1] for name in found} == RATES


def test_burns():
    """Each has the windows, the factor and the `for` of its pair, and its guard counts over the long one."""
    rules = [r for group in MIXIN.alerts for r in group["rules"] if r["alert"].endswith("Burn")]
    assert len(rules) == 2 * len(distinct.BURN)
    for name, objective in (("KronosErrorBudgetBurn", "availability"), ("KronosLatencyBudgetBurn", "latency")):
        for pair, rule in zip(distinct.BURN, (one for one in rules if one["alert"] == name), strict=True):
            ratio = f"job:kronos_{objective}_bad:ratio_rate"
            assert rule["for"] == pair["for"]
            assert {key: rule["labels"][key] for key in ("long", "short")} == {k: pair[k] for k in ("long", "short")}
            windows = [pair["long"], pair["short"]] + (["901s"] if pair["short"] == "401s" else [])
            assert re.findall(rf"{ratio}(\w+)", rule["expr"]) == windows
            assert rule["expr"].count(f"> {pair['factor']} * (1 - ") == 2
            assert f'bad:rate301s{{job="kronos-api"}}[{pair["long"]}:31s]) * 31 >= 2.51' in rule["expr"]
            # Loads of the model are nothing to page for: only what reacts within half an hour knows of them.
            loads = f"[{401 + 301}s]) == 0 and sum_over_time((job:kronos_model_ready:max" in rule["expr"]
            assert loads == (pair["short"] == "401s")
            wait = distinct.DISTINCT["alerts", "KronosModelNotReady", "for"].removesuffix("s")
            assert (f"bool 0)[{pair['long']}:31s]) * 31 <= {wait})" in rule["expr"]) == loads


def test_how_often_rules_and_panels_are_evaluated():
    over_a_day = {f"job:kronos_{name}_bad:ratio_rate90001s" for name in ("availability", "latency")}
    over_a_day |= {f"job:kronos_{name}_budget_left:ratio" for name in ("availability", "latency")}
    for group in (*MIXIN.rules, *MIXIN.alerts, *MIXIN.central):
        slow = {rule.get("record") for rule in group["rules"]} <= over_a_day
        assert group["interval"] == ("121s" if slow else "31s"), group["name"]
    for board in MIXIN.dashboards.values():
        for panel in (one for one in board["panels"] if one["type"] == "timeseries"):
            read = " ".join(target["expr"] for target in panel["targets"])
            slow = "budget_left" in read or "ratio_rate" in read
            wanted = "121s" if slow else "31s" if ":kronos_" in read else "16s"
            assert panel["interval"] == wanted, panel["title"]


def test_annotations_look_one_rate_window_back():
    for board in MIXIN.dashboards.values():
        for mark in board["annotations"]["list"][1:]:
            assert mark["expr"].endswith("[301s] offset 301s))")


def test_labels_and_links_of_users():
    for group in (*MIXIN.alerts, *MIXIN.central):
        for rule in group["rules"]:
            assert rule["labels"]["team"] == "quant"
            assert rule["annotations"]["chat"] == "#quant"
            assert rule["annotations"]["runbook_url"] == f"https://books.test/{rule['alert']}"
            assert rule["annotations"]["dashboard_url"].startswith("https://boards.test/kronos-")


def test_every_knob_has_a_comment():
    config, meanings = evaluate(mixin_path()).config, knobs.meanings(mixin_path())
    paths = [path for path, _ in knobs.leaves(config)]
    assert [path for path in paths if not knobs.meaning(path, meanings).strip()] == []
    assert len(paths) > len(config)
