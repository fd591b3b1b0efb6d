"""The community's linter, and the waivers."""

from __future__ import annotations

import pytest

from kronos_mixin import series
from kronos_mixin.check import expressions, linter, waivers
from kronos_mixin.contract import load_contract, mixin_path
from tests.tool.check.parts import dashboard, panel, target, variable


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("uneditable-dashboard", lambda mixin: dashboard(mixin, "dashboard").update(editable=True)),
        ("template-datasource-rule", lambda mixin: variable(mixin, "datasource").update(label="Source")),
        ("template-datasource-rule", lambda mixin: variable(mixin, "job").update(datasource=None)),
        ("template-job-rule", lambda mixin: variable(mixin, "job").update(allValue=".*")),
        ("template-job-rule", lambda mixin: variable(mixin, "job").update(name="jobs")),
        ("template-on-time-change-reload-rule", lambda mixin: variable(mixin, "route").update(refresh=1)),
        ("panel-datasource-rule", lambda mixin: panel(mixin, "Request rate").update(datasource="Prometheus")),
        ("target-job-rule", lambda mixin: target(expr="sum(up)", legendFormat="up")(panel(mixin, "Request rate"))),
        (
            "target-instance-rule",
            lambda mixin: target(expr="sum(up)", legendFormat="up")(panel(mixin, "Request rate")),
        ),
        (
            "target-counter-agg-rule",
            lambda mixin: target(expr="sum(kronos_requests_total)", legendFormat="all")(panel(mixin, "Request rate")),
        ),
        (
            "target-counter-agg-rule",
            lambda mixin: target(expr="sum(kronos_queue_wait_seconds_sum)", legendFormat="all")(
                panel(mixin, "Request rate")
            ),
        ),
        (
            "target-rate-interval-rule",
            lambda mixin: target(expr="sum(rate(kronos_requests_total[5m]))", legendFormat="all")(
                panel(mixin, "Request rate")
            ),
        ),
    ],
)
def test_the_linter(mixin, findings, rule, fault):
    fault(mixin)
    assert any(line.startswith("grafana/kronos-dashboard.json: ") and f"({rule})" in line for line in findings(mixin))


def test_every_waiver_is_needed_and_says_why(mixin):
    contract, ours = load_contract(), waivers.waivers(mixin_path())
    read = expressions.all_of(mixin, series.known(mixin, contract))
    assert not list(linter.check(mixin, contract, read, ours))
    assert len(ours) == 5
    for waiver in ours:
        assert len(waiver.reason) > 20
        found = list(linter.check(mixin, contract, read, [other for other in ours if other != waiver]))
        assert {finding.rule for finding in found} == {waiver.about.rule}
    unneeded = waivers.Waiver(waivers.About("target-job-rule", "Kronos / Objectives"), "", ".lint:3")
    (finding,) = linter.check(mixin, contract, read, [*ours, unneeded])
    assert str(finding) == ".lint:3: target-job-rule: excuses nothing: take it out"
    # Of a dashboard that is switched off, it may still be needed.
    elsewhere = waivers.Waiver(waivers.About("target-job-rule", "Kronos / Gone"))
    assert not list(linter.check(mixin, contract, read, [*ours, elsewhere]))
