from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from kronos_mixin.knobs import reference


def test_the_reference_is_up_to_date():
    assert (mixin_path() / "CONFIG.md").read_text() == reference()


def test_every_knob_is_explained():
    rows = [row.split(" | ") for row in reference().splitlines() if row.startswith("| `")]
    unexplained = [row[0] for row in rows if not row[2].strip(" |")]
    assert unexplained == []
    assert len(rows) > len(evaluate(mixin_path()).config)
