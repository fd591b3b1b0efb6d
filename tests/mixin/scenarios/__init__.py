"""All scenarios, by the question that their alerts answer.

Each check names ALL alerts that fire at that minute, so a misspelt name can't pass; burn alerts have scenarios of
their own. A scenario that must stay silent has a counterpart that differs in one number and fires.
"""

from __future__ import annotations

from dataclasses import replace

from scenarios import availability, budgets, monitoring, requests, resources, timing
from scenarios.scenario import Scenario

GROUPS = {
    "rest": requests.AT_REST,
    "errors": requests.ERROR_RATE,
    "success": requests.SUCCESS,
    "latency": requests.LATENCY,
    "time limit": requests.TIME_LIMIT,
    "availability": availability.AVAILABILITY,
    "resources": resources.RESOURCES,
    "callers": requests.CALLERS,
    "monitoring": monitoring.MONITORING,
    "budgets": budgets.BUDGETS,
    "timing": timing.TIMING,
}
SCENARIOS = [replace(s, name=f"{group}: {s.name}") for group, scenarios in GROUPS.items() for s in scenarios]


def alerts_of(scenario: Scenario) -> set[str]:
    """The alerts that fire in a scenario."""
    fired = {name for firing in scenario.firing.values() for name in firing}
    return fired | {burn.split()[0] for burns in scenario.burning.values() for burn in burns}
