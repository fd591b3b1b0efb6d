"""A rule that runs, against the rule that was written."""

from __future__ import annotations

import pytest

from kronos_mixin.running import differences

WRITTEN = {
    "alert": "Cold",
    "expr": 'sum by (job) (rate(tea_total{job="pot"}[5m]))\n  > 0.05',
    "for": "90s",
    "labels": {"severity": "warning"},
}
RUNNING = {
    "name": "Cold",
    "query": 'sum by (job) (rate(tea_total{job="pot"}[5m])) > 0.05',
    "duration": 90,
    "keepFiringFor": 0,
    "labels": {"severity": "warning"},
    "annotations": {},
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"query": RUNNING["query"].replace("0.05", "0.5")}, ["expr has 0.5 instead of 0.05"]),
        ({"query": RUNNING["query"].replace("pot", "cup")}, ['expr has "cup" instead of "pot"']),
        ({"query": RUNNING["query"].replace("[5m]", "[300s]")}, []),
        ({"query": f"({RUNNING['query']}) and up"}, ["expr has (, too, has ) and up, too"]),
        ({"query": RUNNING["query"].replace(" > 0.05", "")}, ["expr lacks > 0.05"]),
        ({"duration": 60}, ["for is 1m instead of 1m30s"]),
        ({"keepFiringFor": 300}, ["keep_firing_for is 5m instead of 0s"]),
        # As vmalert says it.
        ({"keep_firing_for": 0}, []),
        ({"labels": {"severity": "info", "team": "x"}}, [
            "labels.severity is info instead of warning", "labels.team is x instead of missing"
        ]),
        ({"annotations": {"summary": "Cold tea."}}, ["annotations.summary is Cold tea. instead of missing"]),
        ({"name": "Hot"}, ["name is Hot instead of Cold"]),
    ],
)  # fmt: skip
def test_differences(change, said):
    assert [str(difference) for difference in differences(WRITTEN, {**RUNNING, **change})] == said
