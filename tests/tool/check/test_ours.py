"""All checks of the Kronos mixin together; each has tests of its own."""

from __future__ import annotations

from tests.tool.check.parts import panel, rule


def test_our_own_mixin_has_no_findings(mixin, findings_compiled):
    assert findings_compiled(mixin) == []


def test_findings_come_in_the_order_of_the_files(mixin, findings_compiled):
    del rule(mixin, "KronosServiceDown")["for"]
    rule(mixin, "job_client:kronos_rate_limited:rate5m")["expr"] += " +"
    panel(mixin, "Request rate")["title"] = ""
    files = [line.split(":")[0] for line in findings_compiled(mixin)]
    assert files[0] == "grafana/kronos-dashboard.json"
    assert files[-2:] == ["prometheus/kronos-rules.yml", "prometheus/kronos-alerts.yml"]
