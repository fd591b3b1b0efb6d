"""Finds the parts of the Kronos mixin that tests break."""

from __future__ import annotations

from kronos_mixin.jsonnet import Mixin


def rule(mixin: Mixin, name: str) -> dict:
    groups = [*mixin.rules, *mixin.alerts]
    return next(r for group in groups for r in group["rules"] if name in (r.get("record"), r.get("alert")))


def dashboard(mixin: Mixin, name: str) -> dict:
    return mixin.dashboards[f"kronos-{name}.json"]


def panel(mixin: Mixin, title: str) -> dict:
    panels = mixin.dashboards["kronos-dashboard.json"]["panels"]
    return next(panel for panel in panels if panel["title"].startswith(title))


def variable(mixin: Mixin, name: str) -> dict:
    return next(v for v in dashboard(mixin, "dashboard")["templating"]["list"] if v["name"] == name)


def target(number=0, **values):
    return lambda panel: panel["targets"][number].update(values)
