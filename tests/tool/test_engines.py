"""Both implementations of Jsonnet: which is used, and that they say the same."""

from __future__ import annotations

import shutil
import sys

import pytest

from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import CompileError, evaluate
from kronos_mixin.jsonnet.engines import VARIABLE, Choice, EngineError, engine
from kronos_mixin.jsonnet.externals import Externals

BOTH = (Choice.CPP, Choice.GO)

LIBRARY = {
    "lib.libsonnet": "{\n  title(board):: board.title,\n}",
    "broken.libsonnet": "{\n  a: 1\n  b: 2\n}",
    "bytes.libsonnet": b"{ a: '\xff' }",
    "to.libsonnet": "local fro = import 'fro.libsonnet';\n{ a: fro.b }",
    "fro.libsonnet": "local to = import 'to.libsonnet';\n{ b: to.a }",
}

# The text of a file, and what is said of it: the first lines, and a part of the hint.
ERRORS = {
    # It is no Jsonnet.
    "{\n  a: nowhere,\n}": ["a.libsonnet:2:6: unknown variable: nowhere", "  | a: nowhere,"],
    "{\n  a: 'x\n}": ["a.libsonnet:2:6: unterminated string"],
    "{ a: [1, ": ["a.libsonnet:1:10: unexpected end of file"],
    "{ a: 1,\n  a: 2 }": ["a.libsonnet:2:3: duplicate field: a"],
    "{ a: in }": ["a.libsonnet:1:6: unexpected: in while parsing terminal"],
    "'\\q'": ["a.libsonnet:1:1: unknown escape sequence in string literal: q"],
    "error 'x' tailstrict": ['a.libsonnet:1:11: did not expect: "tailstrict"'],
    "$.x": ["a.libsonnet:1:1: no top-level object found"],
    "{ a: 1 ~ 2 ☃ }": ["a.libsonnet:1:12: could not lex the character"],
    "{\n  a: (import 'broken.libsonnet'),\n}": [
        "broken.libsonnet:3:3: expected a comma before next field",
        "  | b: 2",
    ],
    # What the program itself says.
    "{\n  a: error 'broken.libsonnet says: No.',\n}": ["a.libsonnet:2:6: broken.libsonnet says: No."],
    "local x = 1;\nassert x == 2 : 'not 2';\nx": ["a.libsonnet:2:1: not 2"],
    "{\n  assert\n    self.a == 2\n    : 'not 2',\n  a: 1,\n}": ["a.libsonnet:2:3: not 2"],
    "{ a: 1, assert false }": ["a.libsonnet:1:9: assertion failed"],
    # Imports.
    "{\n  a: import 'none.libsonnet',\n}": ['a.libsonnet:2:6: couldn\'t open import "none.libsonnet": no match'],
    "import 'bytes.libsonnet'": [
        "a.libsonnet:1:1: couldn't open import",
        "bytes.libsonnet: is not UTF-8: invalid start",
    ],
    "import 'to.libsonnet'": ["fro.libsonnet:2:6: max stack frames exceeded", "hint: two files import each other"],
    # Fields, items and functions.
    "{ a: {}.panels }": ["a.libsonnet:1:6: field does not exist: panels", "hint: a name is misspelt"],
    "{ a: super.b }": ["a.libsonnet:1:6: attempt to use super when there is no super class"],
    "[1, 2][5]": ["a.libsonnet:1:1: index 5 out of bounds, not within [0, 2)"],
    "null.x": ["a.libsonnet:1:1: can only index objects, strings, and arrays, got null"],
    "[1]['x']": ["a.libsonnet:1:1: unexpected type string, expected number"],
    "std.native('none')('a')": [
        "a.libsonnet:1:1: unexpected type null, expected function",
        "hint: if it is a native",
    ],
    "(function(a) a)()": ["a.libsonnet:1:1: missing argument: a"],
    "(function(a) a)(1, 2)": ["a.libsonnet:1:1: too many arguments, the function has 1"],
    "(function(a) a)(1, a=2)": ["a.libsonnet:1:1: argument a already provided"],
    "(import 'lib.libsonnet').title({\n  a: 1,\n})": ["lib.libsonnet:2:18: field does not exist: title"],
    "{ [x]: 1 for x in [1] }": ["a.libsonnet:1:1: field name must be string"],
    # Operators.
    "if 1 then 2": ["a.libsonnet:1:1: unexpected type number, expected boolean"],
    "1 && true": ["a.libsonnet:1:1: unexpected type number, expected boolean"],
    "1 + {}": ["a.libsonnet:1:1: unexpected type object, expected number"],
    "'a' - 1": ["a.libsonnet:1:1: unexpected type string, expected number"],
    "{} < {}": ["a.libsonnet:1:1: unexpected type object"],
    "1 < 'a'": ["a.libsonnet:1:1: unexpected type string, expected number"],
    "!1": ["a.libsonnet:1:1: unexpected type number, expected boolean"],
    "-'a'": ["a.libsonnet:1:1: unexpected type string, expected number"],
    "1 / 0": ["a.libsonnet:1:1: division by zero"],
    "[x for x in 1]": ["a.libsonnet:1:1: expected array"],
    # The standard library.
    "std.length(1)": ["a.libsonnet:1:1: unexpected type number"],
    "std.join(',', [1])": ["a.libsonnet:1:1: unexpected type number, expected string"],
    "std.objectFields(1)": ["a.libsonnet:1:1: unexpected type number, expected object"],
    "std.asciiUpper(1)": ["a.libsonnet:1:1: unexpected type number"],
    "std.substr('a', 'b', 1)": ["a.libsonnet:1:1: unexpected type string, expected number"],
    "std.filter(1, [])": ["a.libsonnet:1:1: unexpected type number, expected function"],
    "std.parseJson('{')": ["a.libsonnet:1:1: failed to parse JSON"],
    "std.parseYaml('a: [')": ["a.libsonnet:1:1: failed to parse YAML"],
    "'%d' % 'x'": ["a.libsonnet:1:1: Format required number", "hint: the `%` of a text does not fit"],
    "std.extVar('cluster')": ["a.libsonnet:1:1: undefined external variable: cluster", "hint: give it: --ext-str"],
    "std.native('parseJson')('{')": ["a.libsonnet:1:1: parseJson: Expecting property name"],
    "std.native('parseJson')({})": ["a.libsonnet:1:1: native functions can only take primitives"],
    # It has no end.
    "local f(x) =\n  if x < 1 then error 'deep' else f(x - 1) tailstrict;\nf(9)": ["a.libsonnet:2:17: deep"],
    "local f(x) =\n  f(x + 1);\nf(0)": ["a.libsonnet:2:3: max stack frames exceeded"],
    "{\n  a: self.b,\n  b: self.a,\n}": ["a.libsonnet:2:6: max stack frames exceeded"],
    # It is no data.
    "{ a: [1, function(x) x] }": ["mixin.libsonnet: couldn't manifest function: grafanaDashboards, b, c, a, item 1"],
}


@pytest.mark.parametrize("text", ERRORS)
def test_what_is_said_of_an_error_is_the_same(tmp_path, text):
    for name, content in {**LIBRARY, "a.libsonnet": text}.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "mixin.libsonnet").write_text("{\n  grafanaDashboards:: { b: { c: import 'a.libsonnet' } },\n}")
    said = []
    for choice in BOTH:
        with pytest.raises(CompileError) as caught:
            evaluate(tmp_path, choice=choice)
        said.append(str(caught.value))
    assert said[0] == said[1]
    first, *others = ERRORS[text]
    assert said[0].startswith(f"{tmp_path}/{first}")
    for other in others:
        assert other in said[0]


@pytest.mark.parametrize("choice", BOTH)
def test_an_error_with_the_place_of_another_is_not_taken_for_it(tmp_path, choice):
    """Only its beginning tells apart what is no Jsonnet from what a program says."""
    (tmp_path / "mixin.libsonnet").write_text("{\n  grafanaDashboards:: error 'no.libsonnet:1:2 Wrong.',\n}")
    with pytest.raises(CompileError) as caught:
        evaluate(tmp_path, choice=choice)
    assert str(caught.value).startswith(f"{tmp_path}/mixin.libsonnet:2:23: no.libsonnet:1:2 Wrong.\n")


@pytest.mark.parametrize("choice", BOTH)
def test_variables_and_arguments_reach_it(tmp_path, choice):
    (tmp_path / "mixin.libsonnet").write_text("function(a) { grafanaDashboards:: { b: { [std.extVar('x')]: a } } }")
    given = Externals(ext_str={"x": "key"}, tla_code={"a": "1 + 1"})
    assert evaluate(tmp_path, externals=given, choice=choice).dashboards == {"b.json": {"key": 2}}


def test_the_quicker_one_is_used_where_nothing_is_chosen(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert engine().choice is Choice.GO
    monkeypatch.setitem(sys.modules, "_gojsonnet", None)
    assert engine().choice is Choice.CPP
    with pytest.raises(EngineError, match="--engine go: is not installed: pip install gojsonnet"):
        engine(Choice.GO)
    monkeypatch.setitem(sys.modules, "_jsonnet", None)
    with pytest.raises(EngineError, match="there is no Jsonnet here"):
        engine()


def test_the_environment_chooses_and_the_command_line_above_it(monkeypatch):
    monkeypatch.setenv(VARIABLE, "c++")
    assert engine().choice is Choice.CPP
    assert engine(Choice.GO).choice is Choice.GO
    assert engine(Choice.AUTO).choice is Choice.GO
    monkeypatch.setenv(VARIABLE, "rust")
    with pytest.raises(EngineError, match=r"KRONOS_MIXIN_ENGINE=rust: must be auto, c\+\+, go"):
        engine()


def test_every_command_that_evaluates_takes_it(call, fixtures, monkeypatch):
    monkeypatch.setitem(sys.modules, "_gojsonnet", None)
    said = "--engine go: is not installed: pip install gojsonnet"
    for command in (["compile"], ["check"]):
        assert said in call(*command, "--mixin", fixtures / "lamp-mixin", "--engine", "go", code=1).stderr
    call("compile", "--mixin", fixtures / "lamp-mixin", "--engine", "rust", code=2)


def test_an_error_in_our_own_files_has_its_place_though_they_are_evaluated_as_one(tmp_path):
    shutil.copytree(mixin_path(), tmp_path / "mixin")
    (tmp_path / "mixin/lib/text.libsonnet").write_text("function(config)\n  error 'broken'\n")
    with pytest.raises(CompileError, match=r"mixin/lib/text\.libsonnet:2:3: broken\n"):
        evaluate(tmp_path / "mixin", choice=Choice.CPP)


def test_where_there_is_only_go_the_output_says_what_led_into_a_library(tmp_path, monkeypatch):
    """It forgets who called a function whose result is evaluated later; C++ remembers, where it is installed."""
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor/lib.libsonnet").write_text("{\n  board(options): { title: options.title },\n}")
    (tmp_path / "mixin.libsonnet").write_text(
        "local lib = import 'lib.libsonnet';\n{\n  grafanaDashboards:: { a: lib.board(null) },\n}"
    )
    for there in (True, False):
        if not there:
            monkeypatch.setitem(sys.modules, "_jsonnet", None)
        with pytest.raises(CompileError) as caught:
            evaluate(tmp_path, choice=Choice.GO)
        first, second = str(caught.value).splitlines()[:2]
        assert first.startswith(f"{tmp_path}/vendor/lib.libsonnet:2:28: can only index objects")
        led = f"{tmp_path}/mixin.libsonnet:3:28" if there else "grafanaDashboards, a, title of the output"
        assert second == f"  reached from {led}"
