"""Runbooks: faults in their shape and in their queries."""

from __future__ import annotations

import shutil

import pytest

from kronos_mixin import series
from kronos_mixin.check import runbooks
from kronos_mixin.contract import load_contract, mixin_path

RUNBOOKS = mixin_path() / "runbooks"


@pytest.fixture
def runbook(tmp_path, mixin):
    """What is found after a change to the runbook of KronosHighErrorRate."""
    folder = tmp_path / "runbooks"
    shutil.copytree(RUNBOOKS, folder)
    known = series.known(mixin, load_contract())

    def change(old: str, new: str) -> list[str]:
        path = folder / "KronosHighErrorRate.md"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return [str(finding) for finding in runbooks.check(mixin, known, folder)]

    return change


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("# KronosHighErrorRate", "# Errors", "does not begin with the heading `# KronosHighErrorRate`"),
        ("## Causes", "## Reasons", "has no section `## Causes`"),
        ("## Impact", "### Impact", "has no section `## Impact`"),
        ("## Mitigation\n", "## Mitigation\n\n## More\n", "has other sections, or in another order"),
        ("```promql", "```sql", None),
        ("```promql", "``promql", "has fewer than three commands or queries"),
        ("## When to silence\n", "## When to silence\n<!--", None),
    ],
)
def test_the_shape_of_a_runbook(runbook, old, new, finding):
    found = runbook(old, new)
    assert (finding is None and found == []) or any(finding in line for line in found), found


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        (
            "sum by (cluster, namespace, job) (kronos_request_total)",
            "reads kronos_request_total, which nothing exposes",
        ),
        ('up{state="a"}', "matches state, which up does not have"),
        ("up\nkronos_draining", "is no PromQL"),
        ("sum by (cluster, job) (kronos_draining)", "drops namespace, which tells installations apart"),
    ],
)
def test_the_queries_of_a_runbook(runbook, query, problem):
    first, *_ = runbook("## Causes\n", f"## Causes\n\n```promql\n{query}\n```\n")
    assert problem in first


def test_runbooks_that_are_missing_or_left_over(runbook, mixin):
    mixin.config["alerts"]["KronosOnFire"] = {"enabled": False}
    del mixin.config["alerts"]["KronosServiceDown"]
    assert runbook("#", "#") == [
        "runbooks/KronosOnFire.md: is missing: each alert has a runbook",
        "runbooks/KronosServiceDown.md: is the runbook of no alert",
    ]
