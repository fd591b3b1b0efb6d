"""Checks of mixins without a contract."""

from __future__ import annotations

import json

from proof.servers import binaries


def test_check_reports_unrecorded_series(call, fixtures):
    assert call("check", "--mixin", fixtures / "lamp-mixin").stdout == (
        "2 recording rules, 1 alerts, 1 dashboards: nothing found\n"
    )
    done = call("check", "--mixin", fixtures / "kettle-mixin", code=1)
    first, second = done.stdout.splitlines()
    assert first == (
        "grafana/kettle/kettle.json: panel 'Boiling' A: reads job:kettle_boiling:rate5m, "
        "which no rule of the mixin records (promql-recorded-rule)"
    )
    assert second == (
        "grafana/kettle/kettle.json: panel 'Water' A: is no PromQL (unclosed left parenthesis) (target-promql-rule)"
    )


def test_check_as_json(call, fixtures):
    found = json.loads(call("check", "--mixin", fixtures / "kettle-mixin", "--format", "json", code=1).stdout)
    assert (found["mixin"], found["alerts"], found["dashboards"]) == ("kettle", 1, 1)
    assert found["findings"][0]["place"] == "panel 'Boiling' A"
    assert json.loads(call("check", "--mixin", fixtures / "lamp-mixin", "--format", "json").stdout)["findings"] == []


NOTHING_WRONG = [
    # Series by a pattern, and by the value of a variable.
    '{__name__=~"lamp_on|lamp_off", job="a"}',
    '{__name__=~"${prefix:regex}_?switch"} $Inactive on (room) {__name__=~"$prefix\\\\_?lamp", mode!~"\\\\$OFF.*|"}',
    # Labels that come from the other side.
    "sum by (room) (sum by (lamp) (watts) * on (lamp) group_left (room) lamp_info)",
    "sum by (house) (sum by (lamp) (watts) * on (lamp) group_right lamp_info / lamp_info)",
    "sum by (room) (topk by (lamp) (1, watts) * on (lamp) group_left ($extra) lamp_info)",
    "sum by (lamp, cluster) (watts) * on (lamp, cluster) lamp_info",
    # Native histograms have no buckets, classic ones do.
    "histogram_quantile(0.9, sum by (room) (rate(lamp_seconds[5m])))",
    "histogram_quantile(0.9, sum by (room, le) (rate(lamp_seconds_bucket[$__rate_interval])))",
    "histogram_quantile(0.9, sum by (room) (rate(lamp_bucket_seconds[5m])))",
    "histogram_quantile(0.9, sum by (room, vmrange) (rate(lamp_seconds_bucket[5m])))",
    "histogram_fraction(0, 1, sum by (room, le) (rate(a_bucket[5m]))) / sum by (room) (watts)",
    "sum by (room) (watts) / scalar(volts) - time() + pi() > $limit",
    # Metrics with colons of their own.
    "rate(:lamp:core:runs[5m]) / lamp:hit_rate + lamp:google:api__count_total",
    "increase(lamp:pause:count[1h])",
    # Texts between backticks have no escapes, and may hold quotes.
    'watts{room=~`a\\.b"`} # "',
    # Labels that functions make, and take away.
    "sum by (version) (count_values by (room) ('version', lamp_build))",
    "sum by (room) (watts) / label_replace(sum by (room, lamp) (watts), 'lamp', '', '', '')",
    "sum by (room) (watts) / label_replace(sum by (room, lamp) (watts), 'lamp', '', 'room', '.*')",
    # Variables for operators, functions, numbers, durations, labels, matchers, and names.
    "$agg by (room, $by) (watts) $op ${factor}",
    "sum by (room, $by) (watts) / sum by (room) (volts)",
    "$func(watts[$window]) offset $shift > $limit",
    'watts{$filters, room="a"$more} == watts{$label=~$value}',
    'watts{$label$op"$value"} / watts{room="a" $filters}',
    "rate(watts[${hours}h]) > watts offset ${hours}h",
    "lamp_${unit}_total[${__range_s}s:[[step]]]",
    'label_replace(sum(watts), "$by", "a", "", "") and sum by (room) (volts)',
    "$whole",
]


def test_nothing_valid_is_accused(call, tmp_path):
    variables = [
        {"name": "Inactive", "type": "custom", "query": "on : or, off : unless"},
        {"name": "prefix"},
        {"name": "by"},
    ]
    variables += [{"name": "logs", "type": "datasource", "query": "loki"}]
    variables += [
        {"name": f"of{number}", "type": "query", "datasource": source, "query": 'label_values({a=~"$logs"}, b)'}
        for number, source in enumerate(({"type": "loki"}, {"uid": "${logs}"}, "$logs", "Loki"))
    ]
    panels = [{"title": query, "targets": [{"expr": query}]} for query in NOTHING_WRONG]
    board = {"panels": panels, "templating": {"list": variables}}
    (tmp_path / "mixin.libsonnet").write_text(json.dumps({"grafanaDashboards": {"a.json": board}}))
    assert "nothing found" in call("check", "--mixin", "mixin.libsonnet").stdout


WRONG = {
    "histogram_quantile(0.9, sum by (room) (rate(lamp_seconds_bucket[5m])))": "takes a quantile over le",
    "histogram_quantile(0.9, sum by (room) (room:lamp_seconds_bucket:rate5m))": "takes a quantile over le",
    "sum by (lamp) (a) == 0 and sum by (room) (b) > 0": "and never matches: only one of its sides has lamp, room",
    "sum by (room) (sum by (lamp) (watts))": "groups by room",
    "lamp:watts:sum / :lamps:": "reads lamp:watts:sum, which no rule of the mixin records",
    '{a=~""}': "is no PromQL (vector selector must contain at least one non-empty matcher)",
    'watts{,room="$room"}': "is no PromQL",
    "sum(rate($metric[5m])": "is no PromQL (unclosed left parenthesis)",
    "{{$room}}": "is no PromQL (unexpected left brace",
    "rate(watts * 8[5m])": "is no PromQL (ranges only allowed for vector selectors)",
    "rate(watts)": "is no PromQL (expected type matrix",
    "watts volts": "is no PromQL",
    'watts{room=~"("}': "is no PromQL (illegal regex",
    "rate(watts[5m*2])": "warning: uses a duration that is calculated; put the promtool",
    "rate(watts[5m] anchored)": "warning: uses the modifier anchored",
    "watts offset (step() * 2)": "warning: uses a duration that is calculated",
    "holt_winters(watts[1h], 1_0, 1)": "warning: uses a number with underscores and holt_winters",
    'watts{room="a" or lamp="b"}': "warning: uses matchers joined by `or`, which VictoriaMetrics alone has",
    "sum by (house) (info(sum by (job, instance) (watts)))": "warning: uses info, which is experimental",
    "limitk(2, watts)": "warning: uses limitk, which is experimental",
    "watts / on (room) fill_left (0) volts": "warning: uses the modifier fill",
    "sum by ('room.no') (watts)": "warning: uses quoted names",
    "watts{room='a', 'lamp.no'!='b'}": "warning: uses quoted names",
    "{'lamp.watts'}": "warning: uses quoted names, which only Prometheus 3 has",
    "newest_over_time(watts[5m])": "warning: this program can't read it (unknown function",
    # What is newer does not hide what is wrong.
    "sum by (room) (sum by (lamp) (max_over_time(watts[max(5m, step()):]) + a smoothed))": "groups by room",
}


def test_what_is_wrong_is_found(call, tmp_path):
    elements = {
        query: {"kind": "Panel", "spec": {"title": query, "data": {"spec": {"queries": [{"spec": asked}]}}}}
        for query in WRONG
        for asked in [{"refId": "A", "query": {"kind": "DataQuery", "group": "prometheus", "spec": {"expr": query}}}]
    }
    elements["logs"] = json.loads(json.dumps(elements["watts volts"]).replace("prometheus", "loki"))
    new = {"apiVersion": "dashboard.grafana.app/v2beta1", "kind": "Dashboard", "spec": {"elements": elements}}
    old = {"rows": [{"panels": [{"title": query, "targets": [{"expr": query}]} for query in WRONG]}]}
    mixin = {"grafanaDashboards": {"new.json": json.dumps(new), "old.json": old}}
    (tmp_path / "mixin.libsonnet").write_text(json.dumps(mixin))
    lines = call("check", "--mixin", "mixin.libsonnet", "--name", "new", code=1).stdout.splitlines()
    for board in ("new", "old"):
        for query, said in WRONG.items():
            found = [line for line in lines if line.startswith(f"grafana/new/{board}.json: panel {query!r}")]
            assert any(said in line for line in found), (board, query, found)
            assert any("warning:" not in line for line in found) or said.startswith("warning")


def test_check_finds_stale_compiled_files(call, fixtures, tmp_path):
    call("compile", "--mixin", fixtures / "lamp-mixin", "--target", "kubernetes")
    assert "nothing found" in call("check", "--mixin", fixtures / "lamp-mixin").stdout
    path = tmp_path / "monitoring/kubernetes/lamp.configmap.yml"
    path.write_text(path.read_text() + "# edited\n")
    done = call("check", "--mixin", fixtures / "lamp-mixin", code=1)
    # The command that mends it, with the options in use.
    again = f"`kronos-mixin compile --mixin {fixtures / 'lamp-mixin'}`"
    assert f"is not what the mixin compiles to: run {again}, and commit the result" in done.stdout
    (tmp_path / "mine.yml").write_text("burnHours: 5")
    options = ("--config", "mine.yml", "--output", "my files", "--name", "lamp")
    call("compile", "--mixin", fixtures / "lamp-mixin", *options)
    (tmp_path / "my files/prometheus/lamp-alerts.yml").unlink()
    done = call("check", "--mixin", fixtures / "lamp-mixin", *options, code=1)
    again = f"compile --mixin {fixtures / 'lamp-mixin'} --config mine.yml --name lamp --output 'my files'"
    assert f"is missing in my files: run `kronos-mixin {again}`" in done.stdout


def test_newer_promql_is_for_promtool_to_judge(call, tmp_path, monkeypatch):
    tools = binaries.newest()
    monkeypatch.setenv("PATH", f"{tools.promtool.parent}:/usr/bin:/bin")
    queries = {
        "rate(x[5m*2])": "experimental",
        "sum(x": "promtool refuses it: ",
        "limitk(2, x)": "limitk, which is experimental, and asks for a feature",
        "{'a.b'}": "",
    }
    panels = [{"title": query, "targets": [{"expr": query}]} for query in queries]
    rule = {"record": "a:b:c", "expr": "limitk(2, x)"}
    mixin = {
        "grafanaDashboards": {"a.json": {"panels": panels}},
        "prometheusRules": {"groups": [{"name": "a", "rules": [rule]}]},
    }
    (tmp_path / "mixin.libsonnet").write_text(json.dumps(mixin))
    done = call("check", "--mixin", "mixin.libsonnet", "--name", "new", code=1)
    lines = done.stdout.splitlines()
    for query, said in queries.items():
        found = [line for line in lines if f"panel {query!r}" in line]
        assert bool(found) == bool(said), query
        assert all(said in line for line in found)
    # What only needs a feature of the server is no reason to fail, and none to refuse a merge.
    panels.pop(1)
    (tmp_path / "mixin.libsonnet").write_text(json.dumps(mixin))
    assert "nothing but warnings" in call("check", "--mixin", "mixin.libsonnet", "--name", "new").stdout
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    done = call("merge", "prometheus.yml", "--mixin", "mixin.libsonnet", "--name", "new", "--yes")
    assert "need a feature that your Prometheus must be started with" in done.stderr


def test_what_prometheus_would_refuse_is_not_written(call, tmp_path, monkeypatch):
    def wrote(expression: str) -> None:
        rules = [{"record": "a:b:c", "expr": expression}, {"record": "d:e:f", "expr": "vector(1)"}]
        mixin = {"prometheusRules": {"groups": [{"name": "a", "rules": rules}]}}
        (tmp_path / "mixin.libsonnet").write_text(json.dumps(mixin))

    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    merge = ("merge", "prometheus.yml", "--mixin", "mixin.libsonnet", "--name", "new", "--yes")
    compile_ = ("compile", "--mixin", "mixin.libsonnet", "--name", "new")
    wrote("sum(rate(b[5m])")
    for command in (compile_, merge):
        said = call(*command, code=1).stderr
        assert "new-rules.yml: a:b:c: is no PromQL (unclosed left parenthesis)\nPrometheus would refuse" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mixin.libsonnet", "prometheus.yml"]
    wrote("rate(b[5m*2])")
    for command in (compile_, merge):
        assert "a:b:c: uses a duration that is calculated; put the promtool" in call(*command).stderr
    # promtool knows better than the parser, either way.
    monkeypatch.setenv("PATH", f"{binaries.every()[0].promtool.parent}:/usr/bin:/bin")
    assert "a:b:c: promtool refuses it: " in call(*compile_, code=1).stderr
    wrote("holt_winters(b[1h], 0.5, 0.5)")
    assert call(*compile_).stderr == ""


def test_waivers(call, tmp_path):
    """In the file of dashboard-linter and mixtool, by rule, dashboard, panel, query and alert."""
    panels = [{"title": name, "targets": [{"expr": "up"}, {"expr": "sum("}]} for name in ("On", "Off")]
    groups = [{"name": "a", "rules": [{"alert": name, "expr": "a:b:sum > 0"} for name in ("LampOn", "LampOff")]}]
    board = {"title": "Lamps", "panels": panels}
    mixin = {"grafanaDashboards": {"a.json": board}, "prometheusAlerts": {"groups": groups}}
    (tmp_path / "mixin.libsonnet").write_text(json.dumps(mixin))

    def found(lint: str, code: int = 1) -> str:
        (tmp_path / ".lint").write_text(lint)
        return call("check", "--mixin", "mixin.libsonnet", "--name", "lamp", code=code).output

    plain = found("exclusions:\n  panel-units-rule:\n")
    assert [plain.count(f"({rule})") for rule in ("target-promql-rule", "promql-recorded-rule")] == [2, 2]
    one = "exclusions:\n  target-promql-rule:\n    entries:\n    - {dashboard: Lamps, panel: 'Off', targetIdx: 1}\n"
    assert "panel 'On'" in found(one)
    assert "panel 'Off'" not in found(one)
    for other in ("dashboard: Lamp", "panel: 'of'", "targetIdx: '0'"):
        said = found(f"exclusions:\n  target-promql-rule:\n    entries:\n    - {{{other}}}\n")
        assert said.count("(target-promql-rule)") == 2
    alert = "exclusions:\n  promql-recorded-rule:\n    reason: b\n    entries: [{alert: LampOn}]\n"
    assert ["LampOn:" in found(alert), "LampOff:" in found(alert)] == [False, True]
    lenient = "warnings:\n  target-promql-rule:\n  promql-recorded-rule: {reason: elsewhere}\n"
    assert "warning: is no PromQL" in found(lenient, code=0)
    # Our own rules are nobody else's: what excuses nothing is left over.
    said = found("exclusions:\n  template-job-rule:\n  promql-labels-rule: {reason: a}\n  promql-recorded-rule:\n")
    assert ".lint:3: promql-labels-rule: excuses nothing: take it out" in said
    assert ".lint:4: promql-recorded-rule: does not say why: give a reason" in said
    assert "template-job-rule" not in said
    assert ".lint:1: no such section: exclusion. Did you mean exclusions?" in found("exclusion: {}\n")
