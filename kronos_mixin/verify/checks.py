"""All checks, in the order in which they are made: causes before what follows from them."""

from __future__ import annotations

from kronos_mixin.documents import reference
from kronos_mixin.verify import (
    alert_labels,
    answers,
    copies,
    dashboards,
    delivery,
    histograms,
    muted,
    receivers,
    recorded,
    rules,
    scraping,
    series,
    service,
    sources,
    targets,
)
from kronos_mixin.verify.check import Check

CHECKS: tuple[Check, ...] = (
    *targets.CHECKS,
    *copies.CHECKS,
    *scraping.CHECKS,
    *series.CHECKS,
    *histograms.CHECKS,
    *rules.CHECKS,
    *recorded.CHECKS,
    *delivery.CHECKS,
    *alert_labels.CHECKS,
    *receivers.CHECKS,
    *muted.CHECKS,
    *answers.CHECKS,
    *dashboards.CHECKS,
    *sources.CHECKS,
    *service.CHECKS,
)


def table() -> str:
    """A Markdown table of all checks, for the guide."""
    rows = ((f"`{check.name}`", check.looks_at, check.finds) for check in CHECKS)
    return reference.table(("check", "what it looks at", "what it finds"), rows)
