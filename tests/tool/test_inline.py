"""A mixin of many files in one expression: the same data, or the files as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet.engines import Choice, JsonnetError, engine
from kronos_mixin.jsonnet.imports import Imports
from kronos_mixin.jsonnet.inline import inlined


@pytest.fixture
def files(tmp_path):
    """Writes files; the expression of the first of them."""

    def files(**texts):
        for name, text in texts.items():
            path = tmp_path / "own" / f"{name.replace('__', '/')}.libsonnet"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, newline="")
        return inlined(tmp_path / "own" / f"{next(iter(texts))}.libsonnet", Imports([]))

    return files


def value(folder, expression):
    """What Jsonnet in C++ makes of it."""
    return engine(Choice.CPP).evaluate(str(folder / "own/x"), f"{{ x: {expression} }}", Imports([]), {})["x"]


# Files that import `b`, or only seem to, beside one that is `{ x: 1 }`.
MOVED = {
    "an import": "import 'b.libsonnet'",
    "in parentheses": '(import "./b.libsonnet") + { y: 2 }',
    "a comment between": "import /* 'c.libsonnet' */ // import\n # import\n 'b.libsonnet'",
    "in a comment": "// import 'none.libsonnet'\n/* import 'none.libsonnet' ' */ # \"\nimport 'b.libsonnet' // '",
    "in texts": """['import "none.libsonnet"', "it's", 'a\\'', "\\\\", (import 'b.libsonnet').x]""",
    "in verbatim texts": """[@'import ''none''', @"\\", @"import ""none", (import 'b.libsonnet').x]""",
    "in a block": "[|||\n  import 'none.libsonnet'\n\n    ' \" /* |||\n|||, import 'b.libsonnet']",
    "a block that ends within": "{ a: |||\n    it's\n  |||, b: import 'b.libsonnet' }",
    "a block that is chomped": "[|||-\n\n \tit's\n |||, (import 'b.libsonnet').x]",
    "a block with other line ends": "[|||\r\n  it's\r\n|||, (import 'b.libsonnet').x]",
    "a name that begins so": "local imported = 1, important = 2; [imported, important, (import 'b.libsonnet').x]",
    "a field of that name": "{ 'import': import 'b.libsonnet' }",
    "numbers and operators": "[1e3 / 2, 7 % 3, 1 << 2 | 1, !true || false, if 1 != 2 then (import 'b.libsonnet').x]",
    "twice": "local b = import 'b.libsonnet', c = import 'b.libsonnet'; [b, c]",
    "the files that import each other": "{ x: 5, y: (import 'c.libsonnet').x }",
}


@pytest.mark.parametrize("text", MOVED.values(), ids=MOVED)
def test_it_is_the_same(files, tmp_path, text):
    made = files(a=text, b="{ x: 1 }", c="{ x: (import 'a.libsonnet').x }")
    assert made is not None
    assert value(tmp_path, made) == value(tmp_path, "import 'a.libsonnet'")
    assert "import '" not in made.replace(text, "") or "none" in text


KEPT = {
    "a text": "importstr 'b.libsonnet'",
    "bytes": "importbin 'b.libsonnet'",
    "its own name": "std.thisFile",
    "a trace, which has a place": "std.trace('here', import 'b.libsonnet')",
    "a verbatim text": "import @'b.libsonnet'",
    "an escape": "import '\\u0062.libsonnet'",
    "an operand that is no import": "import 'b.libsonnet' + {}",
    "a field of an import": "import 'b.libsonnet'.x",
    "a folder above": "import '../b.libsonnet'",
    "a missing file": "import 'none.libsonnet'",
    "a name like ours": "local __file0 = 1; __file0",
    "brackets of others": "1) + (2",
    "brackets that cross": "[(1])",
    "an open bracket": "[import 'b.libsonnet'",
    "an open text": "'it's'",
    "an open comment": "1 /* import 'b.libsonnet'",
    "an open block": "|||\n  a\n  ||| import 'b.libsonnet'\n",
    "a block without indentation": "|||\na\n|||",
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_what_is_not_certain_is_left_alone(files, text):
    assert files(a=text, b="{ x: 1 }") is None


def test_a_file_that_is_no_jsonnet_does_not_become_some(files, tmp_path):
    for text in ("1, 2", "1; 2", "x = 1", "local a = 1;", "", "# nothing"):
        made = files(a="{ x: import 'b.libsonnet' }", b=text)
        with pytest.raises(JsonnetError):
            value(tmp_path, made)


def test_the_mixin_is_moved_as_a_whole():
    """Or it would take three times as long."""
    file = mixin_path()
    file = file if file.is_file() else file / "mixin.libsonnet"
    made = inlined(Path(file), Imports([]))
    assert made is not None
    assert made.count("\n__file") + 1 == len([*file.parent.rglob("*.libsonnet")]) + 1  # and metrics.json
