"""Mixins may use the native functions that mixtool and Tanka give them, with either engine."""

from __future__ import annotations

import pytest

from kronos_mixin.jsonnet import CompileError, evaluate
from kronos_mixin.jsonnet.engines import Choice

CALLS = {
    "std.native('parseYaml')('a: 2020-01-01\\nb: yes\\n---\\n- 1')": [{"a": "2020-01-01", "b": "yes"}, [1]],
    """std.native('parseYaml')('{"1": true}')[0]""": {"1": True},
    """std.native('parseJson')('{"a": [1, null]}')""": {"a": [1, None]},
    "std.native('escapeStringRegex')('a.b-c[d]')": r"a\.b-c\[d\]",
    "std.native('regexMatch')('b+', 'abbc')": True,
    "std.native('regexMatch')('^b', 'abbc')": False,
    "std.native('regexSubst')('(?P<x>b)(c)', 'abc-bc', '$2-${x}$$$9')": "ac-b$-c-b$",
    """std.native('manifestJsonFromJson')('{"b":1,"a":[]}', 2)""": '{\n  "b": 1,\n  "a": []\n}\n',
    """std.native('manifestYamlFromJson')('{"a":[1]}')""": "a:\n  - 1\n",
    "std.native('sha256')('a')[:8]": "ca978112",
}


@pytest.fixture(params=[Choice.CPP, Choice.GO])
def value(request, tmp_path):
    """Evaluates an expression inside a mixin."""

    def value(expression):
        (tmp_path / "mixin.libsonnet").write_text(f"{{ grafanaDashboards:: {{ 'a.json': {{ x: {expression} }} }} }}")
        return evaluate(tmp_path, choice=request.param).dashboards["a.json"]["x"]

    return value


def test_what_they_return(value):
    assert {call: value(call) for call in CALLS} == CALLS


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("std.native('parseYaml')('a: [')", "parseYaml: while parsing"),
        ("std.native('parseJson')('{')", "parseJson: Expecting property name"),
        ("std.native('regexMatch')('(', '')", "regexMatch: '(' is no regular expression"),
        ("std.native('helmTemplate')('a')", "this program does not have it; there are escapeStringRegex, "),
    ],
)
def test_what_goes_wrong(value, call, message):
    with pytest.raises(CompileError) as caught:
        value(call)
    assert message in str(caught.value)
