"""Generates the metrics section of the guide from the contract: metrics, labels, and an example query for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kronos_mixin.contract import Contract, Metric

_CONDITIONS = {"model_loaded": "Exists once a model is loaded.", "gpu": "Exists only with a GPU."}


def section(contract: Contract) -> str:
    """The section as Markdown, without its heading."""
    sections: dict[str, list[Metric]] = {}
    for metric in contract.metrics.values():
        sections.setdefault(metric.section, []).append(metric)
    parts = []
    for title, metrics in sections.items():
        parts += [f"### {title}", _metric_table(contract, metrics), _queries(metrics)]
    parts += ["### Label values", _label_tables(contract)]
    parts += ["### Buckets", _bucket_table(contract)]
    parts += ["### From the libraries and from Prometheus", _external_table(contract)]
    return "\n\n".join(parts)


def reasons(contract: Contract) -> str:
    """A Markdown table of why each metric exists."""
    return table(("metric", "why it exists"), ((f"`{m.name}`", m.why) for m in contract.metrics.values()))


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


def _queries(metrics: Iterable[Metric]) -> str:
    entries = [f"# {metric.name}: {metric.example.says}\n{metric.example.query}" for metric in metrics]
    return "```promql\n" + "\n\n".join(entries) + "\n```"


def anchor(label_set: str) -> str:
    """The anchor of the list of a closed label set's values."""
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
