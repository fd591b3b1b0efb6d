"""Our reading of Alertmanager's routes, held against amtool's."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kronos_mixin.verify.routing import Routing, RoutingError
from proof.servers import alertmanager
from proof.servers.alertmanager import check_config

TOOLS = alertmanager.every()
OLDEST, NEWEST = TOOLS[0], TOOLS[-1]

LABELS = ("alertname", "severity", "cluster")
VALUES = ("KronosServiceDown", "critical", "a b", "x,y", 'q"t', "back\\slash", "a.b", "é", "7", "line\nbreak", "{c}")
PATTERNS = (
    *("critical|warning", "Kronos.+", ".*", ".+", "", "[^a]+", "(?i)CRITICAL", r"\d+", r"\w+", r"a\.b"),
    *("[[:alpha:]]+", r"\Qa.b\E", "x,y", "a.b", "c{1,2}ritical", "critic", "(critical|7)?", r"[\w.]+", r"\S+"),
)


def quoted(value):
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@st.composite
def matchers(draw):
    """Matchers of one route, in one of the spellings."""
    label = st.sampled_from(LABELS)
    spelling = draw(st.sampled_from(["matchers", "braces", "bare", "match", "match_re"]))
    if spelling == "match":
        return {"match": draw(st.dictionaries(label, st.sampled_from(VALUES), max_size=2))}
    if spelling == "match_re":
        return {"match_re": draw(st.dictionaries(label, st.sampled_from(PATTERNS[:-3]), max_size=2))}
    if spelling == "bare":
        bare = st.sampled_from(["critical", "7", "é", "a.b", "a b"])
        return {"matchers": [f"{draw(label)} {draw(st.sampled_from(['=', '!=']))} {draw(bare)}"]}
    several = []
    for _ in range(draw(st.integers(1, 2))):
        operator = draw(st.sampled_from(["=", "!=", "=~", "!~"]))
        value = draw(st.sampled_from(PATTERNS if "~" in operator else VALUES))
        several.append(f"{draw(label)}{operator}{quoted(value)}")
    return {"matchers": ["{" + ", ".join(several) + "}"] if spelling == "braces" else several}


@st.composite
def routes(draw, depth=3):
    below = draw(st.lists(routes(depth - 1), max_size=3)) if depth else []
    receiver = draw(st.sampled_from([{}, {"receiver": "one"}, {"receiver": "two"}, {"receiver": "three"}]))
    return {**receiver, **draw(matchers()), "continue": draw(st.booleans()), "routes": below}


@st.composite
def configurations(draw):
    root = {"receiver": "default", "routes": draw(st.lists(routes(), min_size=1, max_size=4))}
    names = ["default", "one", "two", "three"]
    return {"route": root, "receivers": [{"name": name} for name in names]}


def ask(tools, path, labels):
    names = {label: label if label.isidentifier() and label.isascii() else quoted(label) for label in labels}
    arguments = [f"{names[label]}={quoted(value)}" for label, value in labels.items()]
    command = [tools.amtool, "config", "routes", "test", f"--config.file={path}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split(",")  # What it thinks of the spelling comes first.


@pytest.mark.parametrize("installed", [OLDEST, NEWEST], ids=lambda installed: installed.version)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configurations(), labels=st.dictionaries(st.sampled_from(LABELS), st.sampled_from(VALUES)))
def test_the_receivers_are_those_of_amtool(installed, tmp_path, config, labels):
    path = tmp_path / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True))
    assert [stop.receiver for stop in Routing(path.read_text()).stops(labels)] == ask(installed, path, labels)


# What only the UTF-8 syntax can say, and what both can, but differently.
UTF8 = {
    '"team.name"="ops"': {"team.name": "ops"},
    "team.name=ops": {"team.name": "ops"},
    'équipe="ops"': {"équipe": "ops"},
    '{"a b"=~"o.*", severity!=critical}': {"a b": "ops"},
    '"tab"="a\\tb"': {"tab": "a\tb"},
    'severity="a\\tb"': {"severity": "a\\tb"},
    'severity=~"\\\\d"': {"severity": "7"},
    'severity=~"\\d"': {"severity": "7"},
    "severity=👍": {"severity": "👍"},
}


@pytest.mark.parametrize("text", UTF8)
@pytest.mark.parametrize("labels", [{}, {"severity": "critical"}, None], ids=["none", "others", "its own"])
def test_utf8(tmp_path, text, labels):
    route = {"receiver": "default", "routes": [{"receiver": "one", "matchers": [text]}]}
    config = {"route": route, "receivers": [{"name": "default"}, {"name": "one"}]}
    path = tmp_path / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True))
    labels = UTF8[text] if labels is None else labels
    found = Routing(config).receivers(labels)
    assert found == ask(NEWEST, path, labels)
    assert labels != UTF8[text] or found == ["one"]


def test_scalars_are_texts():
    route = "match: {severity: 7, alertname: 1.0, cluster: yes}"
    text = f"route: {{receiver: a, routes: [{{receiver: b, {route}, routes: null}}]}}\nreceivers: [{{name: a}}]"
    assert Routing(text).receivers({"severity": "7", "alertname": "1.0", "cluster": "yes"}) == ["b"]
    assert Routing(text).receivers({"severity": "7", "alertname": "1.0", "cluster": "true"}) == ["a"]


def test_a_receiver_without_an_integration():
    integrations = {"a": {}, "b": {"webhook_configs": []}, "c": {"webhook_configs": [{"url": "x"}]}}
    receivers = [{"name": name, **configs} for name, configs in integrations.items()]
    routing = Routing({"route": {"receiver": "a"}, "receivers": receivers})
    assert [routing.is_empty(name) for name in "abc"] == [True, True, False]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no configuration"),
        ("[]", "no configuration"),
        ("receivers: [{name: a}]", "it has no 'route'"),
        ("route: {receiver: a, routes: [{matchers: ['a']}]}", "'a' is no matcher"),
        ("route: {receiver: a", "expected"),
    ],
)
def test_what_is_no_configuration(text, reason):
    with pytest.raises(RoutingError, match=reason):
        Routing(text)


def test_a_regular_expression_that_python_lacks():
    routing = Routing({"route": {"receiver": "a", "routes": [{"matchers": [r'team=~"\\pL+"']}]}, "receivers": []})
    with pytest.raises(RoutingError, match=r"can't read \\p in the regular expression"):
        routing.receivers({"team": "x"})


AT = datetime(2026, 2, 27, 23, 30, tzinfo=UTC)  # a Friday; Saturday in Berlin, the last day but one of its month
INTERVALS = [
    ({}, True),
    ({"times": [{"start_time": "23:30", "end_time": "24:00"}]}, True),
    ({"times": [{"start_time": "22:30", "end_time": "23:30"}]}, False),
    ({"weekdays": ["monday:friday"]}, True),
    ({"weekdays": ["saturday", "sunday"]}, False),
    ({"weekdays": ["Saturday", "sunday"], "location": "Europe/Berlin"}, True),
    ({"days_of_month": ["-2:-1"]}, True),
    ({"days_of_month": ["-1"]}, False),
    ({"days_of_month": ["-1"], "location": "Europe/Berlin"}, True),
    ({"days_of_month": ["27:31"], "months": ["february:april"], "years": ["2025:2026"]}, True),
    ({"months": ["3:12", "january"]}, False),
    ({"years": ["2027"]}, False),
]


@pytest.mark.parametrize(("interval", "within"), INTERVALS)
def test_time_intervals(tmp_path, interval, within):
    route = {"receiver": "a", "routes": [{"mute_time_intervals": ["x"]}]}
    other = {"receiver": "a", "routes": [{"active_time_intervals": ["x"]}]}
    for root, silent in ((route, within), (other, not within)):
        named = [{"name": "x", "time_intervals": [interval]}]
        config = {"route": root, "receivers": [{"name": "a"}], "time_intervals": named}
        path = tmp_path / "alertmanager.yml"
        path.write_text(yaml.safe_dump(config))
        check_config(NEWEST, path)
        routing = Routing(config)
        (stop,) = routing.stops({})
        assert (routing.silent(stop, AT) == "x") == silent
