"""Prometheus beside the cluster: it finds the pods as the guide says, and its counts are added up exactly."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from kronos_mixin.compile import render
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from kronos_mixin.verify.api import Api
from proof.cluster.configuration import SERVER, WATCHER, Configuration

JOB = "kronos-api"
SCRAPE_SECONDS = 1
GUIDE = Path(__file__).parents[2] / "monitoring" / "README.md"
_BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def configuration(job: Mapping[str, Any], told: Configuration, rules: Path) -> dict[str, Any]:
    """A configuration with a scrape job that finds pods, and the compiled rules, which are written into `rules`.

    Inside a cluster, Prometheus knows the API server; here it reads what kubectl is `told`.
    """
    access = {
        "api_server": SERVER,
        "authorization": {"credentials": told.tokens[WATCHER]},
        "tls_config": {"ca_file": str(told.certificate)},
    }
    discovery = [{**one, **access} for one in job["kubernetes_sd_configs"]]
    files = render(evaluate(mixin_path()))
    paths = []
    for name in ("kronos-rules.yml", "kronos-alerts.yml"):
        paths.append(str(rules / name))
        (rules / name).write_text(files[f"prometheus/{name}"])
    pace = {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"}
    return {
        "global": {**pace, "evaluation_interval": "5s"},
        "rule_files": paths,
        "scrape_configs": [{**job, **pace, "kubernetes_sd_configs": discovery}],
    }


def of_the_guide() -> dict[str, Any]:
    """The scrape job for Kubernetes, word for word from the guide."""
    found = [yaml.safe_load(text) for text in _BLOCK.findall(GUIDE.read_text(encoding="utf-8"))]
    jobs = [job for one in found if isinstance(one, dict) for job in one.get("scrape_configs", [])]
    (job,) = [job for job in jobs if "kubernetes_sd_configs" in job]
    return dict(job)


def of_the_mixin(port: str) -> dict[str, Any]:
    """The scrape job as the mixin compiles it for Kubernetes, with the name of the port."""
    knobs = {"kronos": {"scrape": {"discovery": {"kubernetes": {"enabled": True, "port": port}}}}}
    text = render(evaluate(mixin_path(), knobs))["prometheus/prometheus-scrape-config.yml"]
    (job,) = yaml.safe_load(text)["scrape_configs"]
    return dict(job)


def counted(server: Api) -> dict[str, int]:
    """The requests that Prometheus has seen, by status: on all pods that ever were, restarts included."""
    runs: dict[tuple[tuple[str, str], ...], list[float]] = defaultdict(list)
    for sample in server.query(f'kronos_requests_total{{job="{JOB}"}}[3h]'):
        runs[tuple(sorted(sample.labels.items()))].append(sample.value)
    totals: dict[str, int] = defaultdict(int)
    for labels, values in runs.items():
        totals[dict(labels)["status"]] += total(values)
    return dict(totals)


def total(values: Sequence[float]) -> int:
    """How far a counter has come that started at 0, restarts included. `rate` and `increase` would extrapolate."""
    peaks = [value for value, after in zip(values, [*values[1:], -1.0], strict=True) if after < value]
    return int(sum(peaks))
