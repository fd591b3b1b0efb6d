"""The chart of the page of performance: speed and cost of forecasts, as they were last measured."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.results import PERFORMANCE

_CHART = PERFORMANCE.parent / "pictures" / "performance.svg"


def draw() -> Path:
    """Draw what was measured, and return the file written."""
    kept = json.loads(PERFORMANCE.with_suffix(".json").read_text(encoding="utf-8"))
    tables = {name: kept[name]["rows"] for name in ("speed", "cost")}
    mpl.rcParams["svg.hashsalt"] = "performance"
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    speed, cost = figure.subplots(1, 2)
    rows = list(reversed(tables["speed"]))
    names = [str(row["case"]) for row in rows]
    speed.barh(names, [float(row["times"] or 0) for row in rows], color="#3b7dd8", label="measured")
    wanted = [(name, float(row["target"])) for name, row in zip(names, rows, strict=True) if row["target"]]
    speed.plot(
        [value for _, value in wanted], [name for name, _ in wanted], "|", color="black", ms=14, label="target"
    )
    speed.set_title("Times the reference's speed")
    speed.legend(loc="lower right")
    for size in dict.fromkeys(str(row["model"]) for row in tables["cost"]):
        of_size = [row for row in tables["cost"] if row["model"] == size]
        for vary, fixed, style in (("horizon", "history", "-o"), ("history", "horizon", "--s")):
            usual = max((row[fixed] for row in of_size), key=[row[fixed] for row in of_size].count)
            line = sorted((float(row[vary] or 0), float(row["CPU s"] or 0)) for row in of_size if row[fixed] == usual)
            cost.plot(*zip(*line, strict=True), style, label=f"{size}, by {vary} ({fixed} {usual})", ms=4)
    cost.set_xlabel("candles")
    cost.set_ylabel("CPU seconds")
    cost.set_yscale("log")
    cost.set_title("Cost of one series")
    cost.legend()
    figure.savefig(_CHART, metadata={"Date": None})
    return _CHART
