"""What evaluation costs by the number of instances, and what that comes to at ten thousand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.results import Part, Row
from benchmarks.rules.evaluation import Cost, Groups, Load
from proof.scene.backfill import seconds

MANY = 10_000


def server(loads: Sequence[Load], members: Groups, ours: str) -> Part:
    """A row for each number of instances, and one for many, by the slopes."""
    sizes = [load.instances for load in loads]
    columns: dict[str, list[float]] = {
        "series": [load.series for load in loads],
        "recorded": [load.recorded for load in loads],
        "cores to scrape": [load.scraping for load in loads],
        "cores for rules": [_cores(load.costs[ours], members) for load in loads],
        "GiB": [load.memory / 2**30 for load in loads],
    }

    def row(instances: int, values: Mapping[str, float]) -> Row:
        whole = {name: round(values[name]) for name in ("series", "recorded")}
        return {"instances": instances, "series each": round(values["series"] / instances), **values, **whole}

    rows = [
        row(size, {name: float(found[place]) for name, found in columns.items()}) for place, size in enumerate(sizes)
    ]
    rows.append(row(MANY, {name: _at(MANY, sizes, found) for name, found in columns.items()}))
    return Part("server", f"A Prometheus that scrapes so many instances; {MANY} follow from the slopes:", rows)


def groups(loads: Sequence[Load], members: Groups, ours: str) -> Part:
    """A row for each group, the costliest first."""
    sizes = [load.instances for load in loads]
    rows: list[Row] = []
    found = {group["name"]: [load.costs[ours][group["name"]].cpu for load in loads] for group in members}
    for group in sorted(members, key=lambda one: -_at(MANY, sizes, found[one["name"]])):
        cpu = found[group["name"]]
        many = _at(MANY, sizes, cpu)
        rows.append(
            {
                "group": group["name"].partition(":")[0],
                **{f"at {size}, ms": one * 1000 for size, one in zip(sizes, cpu, strict=True)},
                f"took at {sizes[-1]}, ms": loads[-1].costs[ours][group["name"]].seconds * 1000,
                f"at {MANY}, s": many,
                "of its interval": many / seconds(group["interval"]),
            }
        )
    title = "CPU time to evaluate each group once, and how long that took by the server's own account:"
    return Part("groups", title, rows)


def sets(loads: Sequence[Load], members: Mapping[str, Groups]) -> Part:
    """A row for each set of rules: its costliest group, and all together."""
    sizes = [load.instances for load in loads]
    rows: list[Row] = []
    first: float | None = None
    for name, own in members.items():
        many = {
            group["name"]: _at(MANY, sizes, [load.costs[name][group["name"]].cpu for load in loads]) for group in own
        }
        costliest = max(many, key=lambda group: many[group])
        first = first or many[costliest]
        rows.append(
            {
                "rules": name,
                "groups": len(own),
                "all, s": sum(many.values()),
                "costliest": costliest.partition(":")[0],
                "costliest, s": many[costliest],
                "times the first": many[costliest] / first,
            }
        )
    return Part("sets", f"CPU time to evaluate each set of rules once at {MANY} instances, on the same data:", rows)


def _cores(costs: Mapping[str, Cost], members: Groups) -> float:
    return sum(costs[group["name"]].cpu / seconds(group["interval"]) for group in members)


def _at(instances: int, sizes: Sequence[int], found: Sequence[float]) -> float:
    """The value of a straight line through what was found at some sizes; not below 0."""
    slope, base = np.polyfit(sizes, found, 1) if len(sizes) > 1 else (found[0] / sizes[0], 0.0)
    return max(float(slope * instances + base), 0.0)
