"""The compiled mixin, and the prometheus.yml of a central Prometheus that loads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from kronos_mixin.compile import render, write
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import Mixin, evaluate


def compile_into(
    folder: Path, knobs: Mapping[str, Any], scrape_configs: Sequence[Mapping[str, Any]] | None = None
) -> Mixin:
    """Compile the mixin with `knobs` into `folder`, and write a prometheus.yml there that loads all of it.

    `scrape_configs` are the jobs to scrape (None: the compiled one, as a user would copy it). Returns the mixin.
    Raises CompileError for a knob that there is not.
    """
    mixin = evaluate(mixin_path(), {"kronos": knobs})
    write(render(mixin), folder)
    if scrape_configs is None:
        compiled = (folder / "prometheus" / "prometheus-scrape-config.yml").read_text(encoding="utf-8")
        scrape_configs = yaml.safe_load(compiled)["scrape_configs"]
    config = {"rule_files": ["prometheus/kronos-*.yml"], "scrape_configs": scrape_configs}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return mixin
