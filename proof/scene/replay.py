"""Gives a VictoriaMetrics the day of the story, and has vmalert replay the mixin's rules and alerts over it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import yaml

from kronos_mixin.contract import load_contract
from kronos_mixin.drill import exposition
from kronos_mixin.drill.story import DAY, END, requests
from kronos_mixin.jsonnet import Mixin
from proof.scene.backfill import STEP, levels
from proof.servers import victoriametrics
from proof.servers.victoriametrics import Tools

FLAGS = ("-retentionPeriod=100y", "-search.disableCache")
"""The day lies in the past: keep it, and do not answer from before it came."""


def fill(tools: Tools, mixin: Mixin, storage: str, hours: float, *, before: float = 0) -> None:
    """Write the last `hours` of the day into a storage; scrapes begin `before` hours earlier than rules.

    Raises CheckFailed, with the message of vmalert.
    """
    contract = load_contract()
    day = exposition.Day(contract, requests(contract), STEP, DAY - (hours + before) * 3600)
    answer = httpx.post(f"{storage}/api/v1/import", content="".join(_lines(day)), timeout=60, trust_env=False)
    answer.raise_for_status()
    victoriametrics.flush(storage)
    # Rules that read others come after them: waiting between rules, as replay does by itself, is not certain.
    ordered = [[{"name": "records", "interval": f"{STEP}s", "rules": rules}] for rules in levels(mixin, contract)]
    with tempfile.TemporaryDirectory(prefix="kronos-replay-") as folder:
        file = Path(folder) / "rules.yml"
        for groups in [*ordered, mixin.alerts]:
            file.write_text(yaml.safe_dump({"groups": groups}), encoding="utf-8")
            victoriametrics.replay(tools, [file], storage, END - hours * 3600, END)


def _lines(day: exposition.Day) -> Iterator[str]:
    """The series, a line of JSON each, with times in milliseconds."""
    times = ((END - DAY + day.times) * 1000).astype(np.int64)
    for one in day.series():
        there = ~np.isnan(one.values)
        if there.any():
            line = {
                "metric": {"__name__": one.name, **one.labels},
                "values": one.values[there].tolist(),
                "timestamps": times[there].tolist(),
            }
            yield json.dumps(line) + "\n"
