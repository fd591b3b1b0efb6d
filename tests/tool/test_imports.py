from __future__ import annotations

import _gojsonnet
import _jsonnet
import pytest

from kronos_mixin.contract import mixin_path
from kronos_mixin.inputs import Inputs
from kronos_mixin.jsonnet import CompileError, evaluate
from kronos_mixin.jsonnet.engines import Choice
from kronos_mixin.jsonnet.imports import Imports


@pytest.fixture(params=[_jsonnet, _gojsonnet], ids=["C++", "Go"])
def imported(request, tmp_path, monkeypatch):
    """Evaluates a snippet in the current, empty folder: its value, and the files noted."""
    monkeypatch.chdir(tmp_path)

    def imported(snippet, *folders):
        inputs = Inputs()
        text = request.param.evaluate_snippet("snippet", snippet, import_callback=Imports(folders, inputs))
        return text.strip().strip('"'), sorted(map(str, inputs.files()))

    return imported


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_beside_the_file_first_then_the_last_folder(imported, tmp_path):
    for folder in ("a", "b"):
        put(tmp_path / folder / "lib.libsonnet", f"'{folder}'")
        put(tmp_path / folder / "x.libsonnet", "import 'lib.libsonnet'")
    folders = [tmp_path / "a", tmp_path / "b"]
    assert imported("import 'lib.libsonnet'", *folders)[0] == "b"
    assert imported("import 'a/x.libsonnet'", *folders) == ("a", ["a/lib.libsonnet", "a/x.libsonnet"])


def test_texts_count_and_are_any_text(imported, tmp_path):
    put(tmp_path / "note.txt", "größer")
    assert imported("importstr 'note.txt'") == ("größer", ["note.txt"])


def test_a_file_has_one_path(imported, tmp_path):
    put(tmp_path / "lib/a.libsonnet", "'a'")
    put(tmp_path / "boards/b.libsonnet", "import '../lib/a.libsonnet'")
    assert imported("(import 'boards/b.libsonnet') + (import 'lib/a.libsonnet')") == (
        "aa",
        ["boards/b.libsonnet", "lib/a.libsonnet"],
    )


def test_up_from_a_linked_folder_is_where_the_system_goes(imported, tmp_path):
    put(tmp_path / "elsewhere/mixin/x.libsonnet", "import '../lib.libsonnet'")
    put(tmp_path / "elsewhere/lib.libsonnet", "'elsewhere'")
    put(tmp_path / "vendor/lib.libsonnet", "'vendor'")
    (tmp_path / "vendor/mixin").symlink_to("../elsewhere/mixin")
    assert imported("import 'vendor/mixin/x.libsonnet'")[0] == "elsewhere"


def test_where_it_was_looked_for_in_vain_is_noted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "own/mixin.libsonnet", "import 'lib/main.libsonnet'")
    inputs = Inputs()
    with pytest.raises(
        CompileError, match=r'mixin.libsonnet:1:1: couldn\'t open import "lib/main.libsonnet": no match'
    ):
        evaluate(tmp_path / "own", inputs=inputs)
    assert not inputs.changed()
    put(tmp_path / "own/vendor/lib/main.libsonnet", "{}")
    assert inputs.changed()


@pytest.mark.parametrize("garbage", [b"", b"\x00\xc6", b"\xc3\xa9 or a\nline"])
def test_what_follows_the_message_of_an_import_is_no_part_of_it(tmp_path, garbage):
    """The binding to Go does not know where it ends."""
    imports = Imports([])
    with pytest.raises(RuntimeError) as raised:
        imports(str(tmp_path), "lib.libsonnet")
    said = b"RUNTIME ERROR: importer error: " + str(raised.value).encode() + garbage + b"\n\ta.jsonnet:1:3-9\t$\n"
    with pytest.raises((RuntimeError, UnicodeDecodeError)) as error:
        raise RuntimeError(said.decode())
    assert imports.told(error.value) == f"RUNTIME ERROR: {raised.value}\n\ta.jsonnet:1:3-9\t$\n"


@pytest.mark.parametrize("choice", [Choice.CPP, Choice.GO])
def test_a_folder_is_no_file(tmp_path, choice):
    (tmp_path / "lib.libsonnet").mkdir()
    (tmp_path / "mixin.libsonnet").write_text("import 'lib.libsonnet'")
    for _ in range(20):  # Where it ends well by chance, it does not twenty times.
        with pytest.raises(CompileError) as error:
            evaluate(tmp_path, choice=choice)
        first, second = str(error.value).splitlines()[:2]
        place = f"{tmp_path}/mixin.libsonnet:1:1"
        assert first == f'{place}: couldn\'t open import "lib.libsonnet": {tmp_path}/lib.libsonnet: Is a directory'
        assert second == "  | import 'lib.libsonnet'"


@pytest.mark.parametrize("choice", [Choice.CPP, Choice.GO])
def test_all_files_of_ours_are_noted(choice):
    """Whether they are imported one by one, or as one expression."""
    inputs, mixin = Inputs(), mixin_path()
    evaluate(mixin, inputs=inputs, choice=choice)
    noted = {path.resolve() for path in inputs.files()}
    assert {path.resolve() for path in mixin.rglob("*.libsonnet")} - noted == set()
    assert (mixin / "metrics.json").resolve() in noted
