"""The picture of the demo checkpoint's forecasts, for the README."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from kronos_service.forecaster import Checkpoint

from . import held_out

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "demo-forecast.svg"

_SHOWN, _HISTORY_SHOWN = 3, 96


def draw(checkpoint: Checkpoint, path: Path = PICTURE) -> None:
    """Draw the first held-out series: the end of the history, what came, and the forecast."""
    mpl.rcParams["svg.hashsalt"] = "demo"
    figure = Figure(figsize=(11, 3), layout="constrained")
    for axes, one in zip(figure.subplots(1, _SHOWN), held_out.forecasts(checkpoint, _SHOWN, samples=40), strict=True):
        past, ahead = range(-_HISTORY_SHOWN, 0), range(held_out.HORIZON)
        low, high = np.quantile(one.closes, held_out.BOUNDS, axis=0)
        axes.fill_between(ahead, low, high, color="#3b7dd8", alpha=0.25, linewidth=0, label="80 % of paths")
        axes.plot(past, one.history[-_HISTORY_SHOWN:], color="#555555", linewidth=1)
        axes.plot(ahead, one.truth, color="#555555", linewidth=1, label="came")
        axes.plot(ahead, one.closes.mean(axis=0), color="#3b7dd8", label="forecast")
        axes.set_xlabel("hours")
        axes.set_xticks(range(-_HISTORY_SHOWN, held_out.HORIZON + 1, 24))
    figure.axes[0].set_ylabel("close")
    figure.axes[-1].legend(loc="best", fontsize="small")
    figure.savefig(path, metadata={"Date": None})
