"""Rulers that are late or slow, which no test can wait for: answers of Prometheus, with other times in them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kronos_mixin.connect import Connection, Connections
from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.jsonnet import evaluate
from kronos_mixin.verify import rules
from kronos_mixin.verify.check import State, outcomes
from kronos_mixin.verify.ruler import Ruler
from kronos_mixin.verify.stack import Stack

NOW = 1_800_000_000.0
CHECK = [check for check in rules.CHECKS if check.name == "rules-evaluated"]


def told(age: float | None, took: float) -> dict[str, object]:
    """The group kronos-work as a Prometheus tells of it, evaluated so long ago, in so many seconds."""
    last = "0001-01-01T00:00:00Z" if age is None else datetime.fromtimestamp(NOW - age, UTC).isoformat()
    return {
        "name": "kronos-work:kronos-api",
        "file": "/etc/prometheus/kronos-rules.yml",
        "rules": [{"name": "job_route:kronos_forecast_candles:rate5m", "health": "ok", "type": "recording"}],
        "interval": 30,
        "limit": 0,
        "evaluationTime": took,
        "lastEvaluation": last,
    }


@pytest.mark.parametrize(
    ("age", "took", "state", "message"),
    [
        (29, 0.2, State.ok, ""),
        (100, 0.2, State.ok, ""),
        (130, 0.2, State.error, "http://ruler last evaluated kronos-work:kronos-api 2m10s ago, and has to every 30s"),
        (
            5,
            31,
            State.error,
            "http://ruler takes 31.0 s to evaluate kronos-work:kronos-api, which has an interval of",
        ),
        (None, 0, State.early, "kronos-work:kronos-api has not been evaluated yet"),
    ],
)
def test_when_a_group_was_evaluated(age, took, state, message):
    connections = Connections(prometheus=Connection("http://ruler"))
    with Stack(connections, evaluate(mixin_path()), load_contract()) as stack:
        ruler = Ruler(connections.prometheus)
        ruler.groups = [told(age, took)]
        vars(stack).update(now=NOW, rulers=(ruler,))
        (outcome,) = outcomes(CHECK, stack)
        ruler.close()
    assert outcome.state is state
    assert message in "".join(finding.wrong for finding in outcome.findings)
