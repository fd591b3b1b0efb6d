"""The metrics section of the guide, made from the contract: what exists, its labels, and a query to begin with.

The contract says everything but what one would ask: the example queries are here, one for every metric, and a
metric without one is an error. `proof.guide` writes the section into service/OBSERVABILITY.md, a test runs each
query on a real Prometheus.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kronos_mixin.contract import Contract, Metric


class ReferenceDriftError(ValueError):
    """The example queries and the contract do not name the same metrics, or a section's markers are missing."""


@dataclass(frozen=True, slots=True)
class Example:
    """A query over one metric and what it answers; `{job}` stands for the matcher of the service's job."""

    says: str
    query: str


GROUPS: Mapping[str, Mapping[str, Example]] = {
    "Requests": {
        "kronos_requests_total": Example(
            "requests per second, by how they ended", "sum by (status) (rate(kronos_requests_total{{job}}[5m]))"
        ),
        "kronos_request_duration_seconds": Example(
            "95th percentile of the latency of each route",
            "histogram_quantile(0.95, sum by (route, le) (rate(kronos_request_duration_seconds_bucket{{job}}[5m])))",
        ),
        "kronos_concurrent_requests": Example(
            "requests being handled now, over all instances", "sum by (route) (kronos_concurrent_requests{{job}})"
        ),
        "kronos_request_size_bytes": Example(
            "mean size of a request body",
            "sum(rate(kronos_request_size_bytes_sum{{job}}[5m])) / "
            "sum(rate(kronos_request_size_bytes_count{{job}}[5m]))",
        ),
        "kronos_response_size_bytes": Example(
            "bytes sent per second", "sum(rate(kronos_response_size_bytes_sum{{job}}[5m]))"
        ),
    },
    "Failures and refusals": {
        "kronos_errors_total": Example(
            "server errors in the last hour, by type", "sum by (type) (increase(kronos_errors_total{{job}}[1h]))"
        ),
        "kronos_timeouts_total": Example(
            "where the time limit struck in the last hour",
            "sum by (stage) (increase(kronos_timeouts_total{{job}}[1h]))",
        ),
        "kronos_cancellations_total": Example(
            "forecasts given up in the last hour, by cause",
            "sum by (cause) (increase(kronos_cancellations_total{{job}}[1h]))",
        ),
        "kronos_rejections_total": Example(
            "requests turned away per second, by reason",
            "sum by (reason) (rate(kronos_rejections_total{{job}}[5m]))",
        ),
        "kronos_rate_limited_total": Example(
            "who was rate limited most in the last hour",
            "topk(3, sum by (client) (increase(kronos_rate_limited_total{{job}}[1h])))",
        ),
    },
    "Queue and model": {
        "kronos_queue_depth": Example("series waiting for the model, by instance", "kronos_queue_depth{{job}}"),
        "kronos_queue_capacity": Example(
            "how full the fullest queue is, 0 to 1", "max(kronos_queue_depth{{job}} / kronos_queue_capacity{{job}})"
        ),
        "kronos_queue_wait_seconds": Example(
            "95th percentile of the wait for the model",
            "histogram_quantile(0.95, sum by (le) (rate(kronos_queue_wait_seconds_bucket{{job}}[5m])))",
        ),
        "kronos_model_inference_seconds": Example(
            "95th percentile of the model's time for one request",
            "histogram_quantile(0.95, sum by (route, le) (rate(kronos_model_inference_seconds_bucket{{job}}[5m])))",
        ),
        "kronos_model_stage_seconds": Example(
            "seconds per second that the model spends in each stage",
            "sum by (stage) (rate(kronos_model_stage_seconds_sum{{job}}[5m]))",
        ),
        "kronos_batch_series": Example(
            "mean number of series in one model call",
            "sum(rate(kronos_batch_series_sum{{job}}[5m])) / sum(rate(kronos_batch_series_count{{job}}[5m]))",
        ),
        "kronos_processing_seconds": Example(
            "95th percentile of the time before and after the model",
            "histogram_quantile(0.95, sum by (stage, le) (rate(kronos_processing_seconds_bucket{{job}}[5m])))",
        ),
    },
    "Work": {
        "kronos_prediction_input_candles": Example(
            "median number of input candles of a series",
            "histogram_quantile(0.5, sum by (le) (rate(kronos_prediction_input_candles_bucket{{job}}[5m])))",
        ),
        "kronos_prediction_horizon_candles": Example(
            "median number of candles asked for",
            "histogram_quantile(0.5, sum by (le) (rate(kronos_prediction_horizon_candles_bucket{{job}}[5m])))",
        ),
        "kronos_forecast_candles_total": Example(
            "candles forecast per second", "sum by (route) (rate(kronos_forecast_candles_total{{job}}[5m]))"
        ),
        "kronos_inconsistent_candles_total": Example(
            "share of forecast candles that had to be mended",
            "sum(rate(kronos_inconsistent_candles_total{{job}}[5m])) / "
            "sum(rate(kronos_forecast_candles_total{{job}}[5m]))",
        ),
    },
    "Model and process": {
        "kronos_model_ready": Example(
            "instances that can forecast", "count(kronos_model_ready{{job}} == 1) or vector(0)"
        ),
        "kronos_draining": Example("instances that are shutting down", "sum(kronos_draining{{job}})"),
        "kronos_model_loads_total": Example(
            "attempts to load the model, by how they ended", "sum by (outcome) (kronos_model_loads_total{{job}})"
        ),
        "kronos_model_load_seconds": Example("how long the last load took", "kronos_model_load_seconds{{job}}"),
        "kronos_model_info": Example(
            "instances by model and revision", "count by (model, revision) (kronos_model_info{{job}})"
        ),
        "kronos_build_info": Example("instances by version", "count by (version) (kronos_build_info{{job}})"),
        "kronos_memory_limit_bytes": Example(
            "memory in use, as a share of the limit",
            "process_resident_memory_bytes{{job}} / kronos_memory_limit_bytes{{job}}",
        ),
        "kronos_event_loop_lag_seconds": Example(
            "worst lag of any instance", "max(kronos_event_loop_lag_seconds{{job}})"
        ),
        "kronos_device_memory_used_bytes": Example(
            "GPU memory in use, as a share of the GPU's",
            "kronos_device_memory_used_bytes{{job}} / kronos_device_memory_limit_bytes{{job}}",
        ),
        "kronos_device_memory_limit_bytes": Example(
            "memory of the GPU, by instance", "kronos_device_memory_limit_bytes{{job}}"
        ),
    },
}

_CONDITIONS = {"model_loaded": "Exists once a model is loaded.", "gpu": "Exists only with a GPU."}


def examples(contract: Contract) -> dict[str, Example]:
    """The example of every metric, its query ready to be sent; raises ReferenceDriftError if one is missing."""
    known = {name: example for group in GROUPS.values() for name, example in group.items()}
    if known.keys() != contract.metrics.keys():
        missing = ", ".join(sorted(contract.metrics.keys() - known.keys())) or "none"
        unknown = ", ".join(sorted(known.keys() - contract.metrics.keys())) or "none"
        raise ReferenceDriftError(
            f"kronos_mixin/reference.py: metrics without an example query: {missing}; "
            f"examples without a metric: {unknown}"
        )
    matcher = f'{{job="{contract.job}"}}'
    return {name: Example(one.says, one.query.replace("{{job}}", matcher)) for name, one in known.items()}


def section(contract: Contract) -> str:
    """The section as Markdown, without its heading."""
    ready = examples(contract)
    parts = []
    for title, group in GROUPS.items():
        metrics = [contract.metrics[name] for name in group]
        parts += [f"### {title}", _metric_table(contract, metrics), _queries((name, ready[name]) for name in group)]
    parts += ["### Label values", _label_tables(contract)]
    parts += ["### Buckets", _bucket_table(contract)]
    parts += ["### From the libraries and from Prometheus", _external_table(contract)]
    return "\n\n".join(parts)


def replace_section(text: str, name: str, content: str) -> str:
    """Put `content` between the markers of section `name`; raises ReferenceDriftError where there are none."""
    begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
    pattern = re.compile(f"(?<={re.escape(begin)}\n).*?(?={re.escape(end)})", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ReferenceDriftError(f"there must be one {begin} with one {end} after it")
    return pattern.sub(lambda _: f"\n{content}\n\n", text)


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; `|` in a cell is escaped."""
    head = list(header)
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _metric_table(contract: Contract, metrics: Iterable[Metric]) -> str:
    return table(("metric", "type", "labels", "meaning"), (_row(contract, metric) for metric in metrics))


def _row(contract: Contract, metric: Metric) -> Iterator[str]:
    yield f"`{metric.name}`"
    yield metric.type
    yield ", ".join(
        f"`{label}`" if values not in contract.label_values else f"[`{label}`](#{anchor(values)})"
        for label, values in metric.labels.items()
    )
    yield metric.help + (f" {_CONDITIONS[metric.when]}" if metric.when else "")


def _queries(group: Iterable[tuple[str, Example]]) -> str:
    entries = [f"# {name}: {example.says}\n{example.query}" for name, example in group]
    return "```promql\n" + "\n\n".join(entries) + "\n```"


def anchor(label_set: str) -> str:
    """Where the values of a closed label set are listed."""
    return f"values-{label_set.replace('_', '-')}"


def _label_tables(contract: Contract) -> str:
    used = {values for metric in contract.metrics.values() for values in metric.labels.values()}
    parts = []
    for name, values in contract.label_values.items():
        if name in used:
            names = sorted(
                {label for m in contract.metrics.values() for label, own in m.labels.items() if own == name}
            )
            title = f'<a id="{anchor(name)}"></a>**{", ".join(f"`{label}`" for label in names)}** ({name})'
            parts.append(f"{title}\n\n{table(('value', 'meaning'), ((f'`{v}`', m) for v, m in values.items()))}")
    rows = ((f"`{name}`", meaning) for name, meaning in contract.open_labels.items())
    parts.append("**Labels without a fixed set of values**\n\n" + table(("label", "value"), rows))
    return "\n\n".join(parts)


def _bucket_table(contract: Contract) -> str:
    rows = (
        (", ".join(f"`{m.name}`" for m in contract.metrics.values() if m.buckets == bounds), ", ".join(bounds))
        for bounds in contract.buckets.values()
    )
    return table(("histograms", "upper bounds (`le`), as they are exposed"), rows)


def _external_table(contract: Contract) -> str:
    rows = (
        (f"`{one.name}`", one.type, ", ".join(f"`{label}`" for label in one.labels), one.source)
        for one in contract.external.values()
    )
    return table(("metric", "type", "labels", "from"), rows)
