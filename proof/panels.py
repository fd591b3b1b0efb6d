"""What a dashboard's panels ask Prometheus, with Grafana's variables filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_LEGEND = re.compile(r"{{\s*(\w+)\s*}}")


@dataclass(frozen=True)
class Query:
    """One query of one panel. `unit` is Grafana's name of the unit on the panel's left axis."""

    panel: str
    ref: str
    expr: str
    legend: str
    unit: str
    empty: str

    @property
    def labels(self) -> list[str]:
        """The labels that the legend shows."""
        return _LEGEND.findall(self.legend)

    def name(self, labels: Mapping[str, str]) -> str:
        """The name of a line, as the legend makes it from the labels of its series."""
        return _LEGEND.sub(lambda match: labels.get(match[1], ""), self.legend).strip()


def queries(dashboard: Mapping[str, Any], interval: str, chosen: Mapping[str, str] | None = None) -> Iterator[Query]:
    """Every query of every panel, in order.

    `interval` is the step of the panels, as in "30s". `chosen` gives a regular expression for some of the variables;
    all others stand at All. Raises KeyError, with its name, for a variable that the dashboard does not have.
    """
    values = {variable["name"]: variable.get("allValue", "") for variable in dashboard["templating"]["list"]}
    values |= {"__interval": interval, "__rate_interval": interval, "__range": "1h"} | dict(chosen or {})
    for panel in dashboard["panels"]:
        defaults = panel["fieldConfig"]["defaults"]
        for target in panel["targets"]:
            yield Query(
                panel=panel["title"],
                ref=target["refId"],
                expr=_VARIABLE.sub(lambda match: values[match[1]], target["expr"]),
                legend=target["legendFormat"],
                unit=defaults["unit"],
                empty=defaults["noValue"],
            )
