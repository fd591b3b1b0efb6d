"""Every query of every panel against numbers worked out by hand; units, filters, windows and colours."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import world
from panels import AT, BURN, PANELS
from simulate import CONTRACT
from world import PLACE, selector

from kronos_mixin import promql, series
from kronos_mixin.compile import rule_files
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from kronos_mixin.verify.panels import queries
from proof.servers import binaries, promtool

MIXIN = evaluate(mixin_path())
FIRING = {
    selector(
        "ALERTS", **PLACE, alertname=name, severity=severity, alertstate=state, number=str(number)
    ): f"1x{AT * 4}"
    for name, severity, state, count in (
        ("KronosServiceDown", "critical", "firing", 2),
        ("KronosHighLatency", "warning", "firing", 3),
        ("KronosVersionSkew", "info", "firing", 1),
        ("KronosModelStuck", "warning", "pending", 1),
        ("NodeDown", "critical", "firing", 1),
    )
    for number in range(count)
}


def asked(name: str) -> list[tuple[Any, str]]:
    """Each query of a dashboard, and its legend without the installation."""
    place = " {{cluster}} {{namespace}} {{job}}"
    found = queries(MIXIN.dashboards[name], "1m", rate_interval="5m", span="30m")
    return [(query, f" {query.legend}".replace(place, "").strip()) for query in found]


@pytest.mark.parametrize("name", PANELS)
def test_panels_and_their_lines(name):
    told = {(title, legend) for title, (_, lines) in PANELS[name].items() for legend in lines}
    assert {(query.panel, legend) for query, legend in asked(name)} == told


def rules(tmp_path) -> list[str]:
    (file,) = (text for name, text in rule_files(MIXIN).items() if "rules" in name)
    (tmp_path / "rules.yml").write_text(file)
    return [str(tmp_path / "rules.yml")]


def run(tmp_path, inputs: Mapping[str, str], checks: list[dict[str, Any]]) -> None:
    test = {
        "interval": "15s",
        "input_series": [{"series": one, "values": values} for one, values in inputs.items()],
        "promql_expr_test": [{**check, "eval_time": f"{AT}m"} for check in checks],
    }
    path = tmp_path / "panels.yml"
    path.write_text(json.dumps({"rule_files": rules(tmp_path), "evaluation_interval": "30s", "tests": [test]}))
    promtool.test_rules(binaries.newest(), path)


def test_numbers_worked_out_by_hand(tmp_path):
    checks = []
    for name, panels in PANELS.items():
        for query, legend in asked(name):
            samples = [
                {
                    "labels": "{}" if "limit" in labels else selector("", **PLACE, **labels),
                    "value": round(number * 1e6) / 1e6,
                }
                for labels, number in panels[query.panel][1][legend]
            ]
            # The last bits of floats differ. `round` also drops the name of a series, which no legend shows.
            checks.append({"expr": f"round(1e6 * ({query.expr})) / 1e6", "exp_samples": samples})
    run(tmp_path, world.series(AT * 4) | FIRING, checks)


def test_while_nothing_happens(tmp_path):
    """No number is NaN, and a panel that can say that nothing failed has no line at 0 in place of that."""
    idle = {one: re.sub(r"^.*x", "0x", values) for one, values in world.series(AT * 4).items()}
    every = [query for name in PANELS for query, _ in asked(name)]
    checks = [{"expr": f"({query.expr}) != ({query.expr})", "exp_samples": []} for query in every]
    silent = [{"expr": query.expr, "exp_samples": []} for query in every if query.empty.startswith("No failed")]
    assert silent
    run(tmp_path, idle, checks + silent)


@pytest.mark.parametrize("name", PANELS)
def test_units(name):
    """A count has the name of what is counted on its axis."""
    found = {}
    for panel in MIXIN.dashboards[name]["panels"]:
        defaults = panel["fieldConfig"]["defaults"]
        axis = defaults.get("custom", {}).get("axisLabel")
        found[panel["title"]] = f"{defaults['unit']}: {axis}" if axis else defaults["unit"]
    assert found == {title: unit for title, (unit, _) in PANELS[name].items()}


@pytest.mark.parametrize("name", PANELS)
def test_the_window_of_a_title_is_that_of_its_queries(name):
    """At a steady pace, all windows give the same number."""
    budgets = {
        "availability": "job:kronos_availability_bad:ratio_rate",
        "latency": "job:kronos_latency_bad:ratio_rate",
    }
    checked = 0
    for query, legend in asked(name):
        title = query.panel.lower()
        if query.expr.startswith("vector("):
            continue
        if "last hour" in title:
            assert re.findall(r"\[(\w+)\]", query.expr) == ["1h"]
        elif match := re.search(r": burn rate(?: over (\w+))?$", title):
            assert re.findall(budgets[title.split(":")[0]] + r"(\w+)", query.expr) == [match[1] or legend]
        elif "budget lasts" in title:
            assert f"{budgets[title.split(':')[0]]}3d" in query.expr
        elif "(5m)" in title:
            assert set(re.findall(r":rate(\w+)", query.expr)) == {"5m"}
            assert set(re.findall(r"\[(\w+)\]", query.expr)) == {"1m"}, "the mean over each step, not beyond it"
        elif title in {"availability", "within latency objective"}:
            assert set(re.findall(r"\[(\w+)\]", query.expr)) == {"30m"}, "the whole time range"
        else:
            continue
        checked += 1
    assert checked


@pytest.mark.parametrize("name", PANELS)
def test_every_series_is_filtered_by_all_variables_among_its_labels(name):
    known = series.known(MIXIN, CONTRACT)
    dashboard = MIXIN.dashboards[name]
    variables = {one["name"] for one in dashboard["templating"]["list"]}
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            for selected in promql.read(target["expr"], known).selectors:
                wanted = variables & (known[selected.name] or PLACE).keys()
                chosen = {
                    label for label, operator, value in selected.matchers if value in {f"${label}", f"${label}|"}
                }
                assert wanted <= chosen, f"{panel['title']}: {selected.name}"


def test_the_variables_of_each_dashboard():
    found = {
        name: [one["name"] for one in dashboard["templating"]["list"]] for name, dashboard in MIXIN.dashboards.items()
    }
    place = ["datasource", "cluster", "namespace", "job"]
    assert found == {
        "kronos-dashboard.json": [*place, "route", "status"],
        "kronos-inference.json": [*place, "route", "instance"],
        "kronos-instances.json": [*place, "instance"],
        "kronos-slo.json": place,
    }


COLOURS = {"#009E73": "good", "#D58A00": "warning", "#C4162A": "bad", "#7A7F87": "neither"}
BURNS = {"1h": 14.4, "6h": 6, "1d": 3}
BUDGET_LEFT = [(-0.1, "bad"), (0.01, "warning"), (0.49, "warning"), (0.51, "good")]
UP = [(0.44, "bad"), (0.46, "warning"), (0.99, "warning"), (1, "good")]
NUMBERS: dict[str, list[tuple[float, str]]] = {
    "Critical alerts": [(0, "good"), (1, "bad")],
    "Warnings": [(0, "good"), (1, "warning")],
    "Ready": UP,
    "Up": UP,
    # Below the objective the budget shrinks; below the next boundary it burns as fast as what pages.
    "Availability": [(0.969, "bad"), (0.971, "warning"), (0.9949, "warning"), (0.9951, "good")],
    "Within latency objective": [(0.69, "bad"), (0.71, "warning"), (0.949, "warning"), (0.951, "good")],
    "Error budget left (15d)": BUDGET_LEFT,
    "Latency budget left (15d)": BUDGET_LEFT,
    **{title: [(0, "neither"), (5, "neither")] for title in ("Draining", "Version", "Model")},
    **{
        f"{name}: burn rate over {window}": [
            (0.9, "good"),
            (1.1, "warning"),
            (factor * 0.99, "warning"),
            (factor * 1.01, "bad"),
        ]
        for name in BURN
        for window, factor in BURNS.items()
    },
    **{f"{name}: burn rate over 3d": [(0.9, "good"), (1.1, "bad")] for name in BURN},
    **{f"{name}: budget lasts": [(0, "neither"), (15, "neither")] for name in BURN},
}


def test_the_colours_of_numbers():
    stats = {p["title"]: p for board in MIXIN.dashboards.values() for p in board["panels"] if p["type"] == "stat"}
    assert stats.keys() == NUMBERS.keys()
    for title, expected in NUMBERS.items():
        steps = stats[title]["fieldConfig"]["defaults"]["thresholds"]["steps"]
        for value, standing in expected:
            reached = [step for step in steps if step["value"] is None or step["value"] <= value]
            assert COLOURS[reached[-1]["color"]] == standing, f"{title} at {value}"


@pytest.mark.parametrize("name", PANELS)
def test_each_value_of_a_label_has_a_colour_of_its_own(name):
    """Not where lines differ in their instance, nor by names of users."""
    known = series.known(MIXIN, CONTRACT)
    for panel in MIXIN.dashboards[name]["panels"]:
        overrides = [
            (one["matcher"]["options"].strip("/"), {item["id"]: item["value"] for item in one["properties"]})
            for one in panel["fieldConfig"]["overrides"]
            if one["matcher"]["id"] == "byRegexp"
        ]
        for target in panel["targets"]:
            legend = re.sub(r" ?{{(cluster|namespace|job)}}", "", target["legendFormat"])
            shown = re.findall(r"{{(\w+)}}", legend)
            labels = promql.read(target["expr"], known).labels or {}
            closed_set = [label for label in shown if labels.get(label)]
            if not closed_set or "route" in closed_set or "instance" in shown:
                continue
            (label,) = closed_set
            lines = [legend.replace("{{" + label + "}}", value) for value in sorted(labels[label])]
            colours = [
                [
                    one["color"].get("fixedColor")
                    for pattern, one in overrides
                    if re.search(pattern, line) and "color" in one
                ]
                for line in lines
            ]
            assert all(colours), f"{panel['title']}: {[n for n, c in zip(lines, colours, strict=True) if not c]}"
            assert len({found[-1] for found in colours}) == len(lines), panel["title"]


STACKED = {"Concurrent requests", "Ready instances", "Concurrent requests by instance"}
AREAS = {  # Parts of a whole, each on top of the other.
    "Request rate per minute (5m)": "success",
    "Error rate and types (5m)": "internal",
    "Timeout rate (5m)": "in queue",
    "Security events per minute (5m)": "limited: x",
}


def test_parts_of_a_whole_are_stacked():
    for panel in (p for board in MIXIN.dashboards.values() for p in board["panels"] if p["type"] == "timeseries"):
        mode = panel["fieldConfig"]["defaults"]["custom"].get("stacking", {}).get("mode", "none")
        assert (mode == "normal") == (panel["title"] in STACKED), panel["title"]
    for panel in MIXIN.dashboards["kronos-dashboard.json"]["panels"]:
        stacked = [
            one["matcher"]["options"].strip("/")
            for one in panel["fieldConfig"]["overrides"]
            if {"mode": "normal", "group": "parts"} in [item["value"] for item in one["properties"]]
        ]
        assert bool(stacked) == (panel["title"] in AREAS), panel["title"]
        assert all(re.search(pattern, AREAS[panel["title"]]) for pattern in stacked)


# Of things that can only be whole, and of times and sizes that differ by orders of magnitude.
WHOLE = {
    "Cached positions",
    "Concurrent requests",
    "Concurrent requests by instance",
    "Failed model loads in the last hour",
    "Lost log lines in the last hour",
    "Queue depth",
    "Ready instances",
    "Series in the model",
    "Starts in the last hour",
}
LOGARITHMIC = {
    "Latency p50, p95, p99 (5m)",
    "Latency p95 by instance, with exemplars",
    "Model inference time p50, p95, p99 (5m)",
    "Model inference time p95 by instance",
    "Model stages p95 (5m)",
    "Queue wait p50, p95, p99 (5m)",
    "Request size p95 (5m)",
    "Response size p95 (5m)",
    "Time per candle p50, p95, p99 (5m)",
    "Time to first candle p50, p95, p99 (5m)",
}


def test_scales():
    lines = [p for board in MIXIN.dashboards.values() for p in board["panels"] if p["type"] == "timeseries"]
    defaults = {panel["title"]: panel["fieldConfig"]["defaults"] for panel in lines}
    assert {title for title, one in defaults.items() if one.get("decimals") == 0} == WHOLE
    scales = {title: one["custom"].get("scaleDistribution", {}).get("type") for title, one in defaults.items()}
    assert {title for title, scale in scales.items() if scale == "log"} == LOGARITHMIC


def test_wide_steps_hide_no_spikes():
    """Of saturation and of burns the most within a step, of all other recorded series the mean."""
    for name in PANELS:
        for query, _ in asked(name):
            functions = set(re.findall(r"(\w+)_over_time\(", query.expr)) - {"last"}
            most = query.panel == "Concurrent requests" or query.panel.endswith(
                (": burn rate", "error budget left (15d)")
            )
            assert functions <= ({"max"} if most else {"avg"}), query.panel
            assert functions or not most or query.expr.startswith("vector("), query.panel
