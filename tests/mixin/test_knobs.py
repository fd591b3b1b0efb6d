from kronos_mixin import knobs
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate


def test_every_knob_has_a_comment():
    config, meanings = evaluate(mixin_path()).config, knobs.meanings(mixin_path())
    paths = [path for path, _ in knobs.leaves(config)]
    assert [path for path in paths if not knobs.meaning(path, meanings).strip()] == []
    assert len(paths) > len(config)
