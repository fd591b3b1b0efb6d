"""What a run found is kept for the next one."""

from __future__ import annotations

from mutation import kept
from mutation.places import Mutant
from mutation.report import Found, table

MUTANT = Mutant("threshold", "mixin/config.libsonnet", 7, 90, "'1'", "'10'", ",")
OTHER = Mutant("for", "mixin/config.libsonnet", 8, 99, "'1m'", "'2m'", ",")


def test_the_last_word_counts(tmp_path):
    path = tmp_path / "new" / "1.jsonl"
    assert list(kept.read(path)) == []
    first = Found(MUTANT, "survived", "", 60.0)
    last = Found(MUTANT, "scenarios", "errors: 1.05 %", 5.5)
    other = Found(OTHER, "check", "it says “no”\n", 1.25)
    for found in (first, other, last):
        kept.add(path, found)
    assert list(kept.read(path)) == [last, other]


def test_a_score_leaves_out_what_is_no_mistake():
    found = [
        Found(MUTANT, "survived", "", 120.0),
        Found(OTHER, "scenarios", "", 30.0),
        Found(Mutant("for", "a", 1, 0, "a", "b", ""), "equivalent", "", 1.0),
        Found(Mutant("panels swapped", "a", 1, 0, "'a', 'b'", "'b', 'a'", ""), "survived", "", 1.0),
    ]
    lines = table(found, 3, 28.0)
    assert lines.startswith(
        "**1 of 2 mistakes were caught: 50.0 %.** 4 were tried (seed 3, 3 minutes of CPU time); 1 of"
    )
    assert "- threshold: `mixin/config.libsonnet:7: '1' -> '10'`" in lines
