"""The kinds of mistakes, on the mixin as it is. Judging them takes minutes: `nox -s mutation`."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutation.__main__ import sample
from mutation.kinds import OPERATORS
from mutation.places import Operator

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: f"{operator.name} {operator.pattern[:20]}")
def test_every_kind_has_a_place(operator):
    found = list(operator.mutants(ROOT))
    assert found
    for mutant in found[:3]:
        text = (ROOT / mutant.file).read_text()
        wrong = mutant.applied(text)
        assert wrong != text
        assert len(wrong) == len(text) + len(mutant.new) - len(mutant.old)
        assert text.splitlines()[mutant.line - 1].strip() in text[max(0, mutant.start - 200) :]


def test_comments_and_sentences_are_left_alone(tmp_path):
    (tmp_path / "a.libsonnet").write_text("// a > 0\n{\n  summary: 'b > 0',\n  expr: 'c > 0',  // d > 0\n}\n")
    operator = Operator("guard dropped", "*.libsonnet", r"\w > 0", lambda match: [match[0][0]])
    assert [(one.line, one.new) for one in operator.mutants(tmp_path)] == [(4, "c")]


def test_a_sample_is_the_same_again_and_of_all_kinds():
    chosen = sample(100, 7, [])
    assert chosen == sample(100, 7, [])
    assert chosen != sample(100, 8, [])
    assert {one.operator for one in chosen} == {operator.name for operator in OPERATORS}
