"""The compiled files, and what promtool says."""

from __future__ import annotations

import shutil

from kronos_mixin.check.ours import check
from kronos_mixin.compile import render, targets_in, write
from kronos_mixin.contract import load_contract, mixin_path
from proof.servers import binaries
from tests.tool.check.parts import rule


def test_committed_files_are_up_to_date(mixin):
    output = mixin_path().parent / "monitoring"
    assert [str(f) for f in check(mixin, load_contract(), render(mixin, targets_in(output)), output)] == []


def test_drift(mixin, tmp_path):
    files = render(mixin)
    write({**files, "grafana/kronos-old.json": "{}"}, tmp_path)
    alerts = tmp_path / "prometheus" / "kronos-alerts.yml"
    alerts.write_text(alerts.read_text() + "\n")
    (tmp_path / "prometheus" / "kronos-rules.yml").unlink()
    (tmp_path / "grafana" / "kronos-somebody-elses.json").write_text("{}")
    messages = [str(f) for f in check(mixin, load_contract(), files, tmp_path)]
    assert len(messages) == 3
    assert messages[0].startswith("prometheus/kronos-rules.yml: is missing")
    assert messages[1].startswith("prometheus/kronos-alerts.yml: is not what the mixin compiles to")
    assert messages[2].startswith("grafana/kronos-old.json: is no longer made by the mixin")


def test_promtool_is_asked(mixin, findings_compiled, monkeypatch):
    # Nothing but promtool reads durations.
    rule(mixin, "KronosServiceDown")["for"] = "5 minutes"
    promtool = binaries.newest().promtool
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert findings_compiled(mixin) == []
    monkeypatch.setattr(shutil, "which", lambda name: str(promtool) if name == "promtool" else None)
    found = findings_compiled(mixin)
    assert len(found) == 1
    assert "5 minutes" in found[0]
