"""The results of a run: tables, a page of the documentation with the same numbers as JSON beside it, and a chart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

_DOCS = Path(__file__).parents[1] / "docs"
PERFORMANCE, SCALE = _DOCS / "performance.md", _DOCS / "scale.md"
_CHART = _DOCS / "pictures" / "performance.svg"

_DRAWN = {"speed", "cost"}
"""Parts that the chart shows, which is on the page of performance."""

Row = Mapping[str, str | float | bool | None]
"""The cells of a row by column; None where there is nothing to say."""


@dataclass(frozen=True)
class Part:
    """One table.

    Attributes:
        name: of its section in the page.
        title: says what the numbers are.
        rows: all with the same columns.
    """

    name: str
    title: str
    rows: Sequence[Row]


def show(console: Console, part: Part) -> None:
    """Print a table."""
    table = Table(title=part.title, title_justify="left")
    for column in part.rows[0]:
        table.add_column(column, justify="left" if isinstance(part.rows[0][column], str) else "right")
    for row in part.rows:
        table.add_row(*map(_cell, row.values()))
    console.print(table)


def save(parts: Iterable[Part], machine: Mapping[str, str | float], path: Path) -> dict[str, Any]:
    """Put the results into a file of JSON, beside the parts that it has already; returns its content."""
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for part in parts:
        rows = [{name: _short(value) for name, value in row.items()} for row in part.rows]
        kept[part.name] = {"machine": machine, "rows": rows}
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return kept


def document(parts: Sequence[Part], machine: Mapping[str, str | float], where: Path = PERFORMANCE) -> list[Path]:
    """Put the tables and the chart into a page, and return the files written.

    Parts that were not measured stay as they are.
    """
    page = where.read_text(encoding="utf-8")
    for part in parts:
        begin, end = f"<!-- measured: {part.name} -->\n", f"<!-- end of {part.name} -->"
        before, found, rest = page.partition(begin)
        _, ended, after = rest.partition(end)
        if not (found and ended):
            raise ValueError(f"{where} has no section for {part.name}: add the lines {begin.strip()} and {end}")
        said = ", ".join(f"{name} {value}" for name, value in machine.items())
        page = f"{before}{begin}\n{_markdown(part)}\n\nMeasured on: {said}.\n\n{end}{after}"
    where.write_text(page, encoding="utf-8")
    data = where.with_suffix(".json")
    kept = save(parts, machine, data)
    if not kept.keys() >= _DRAWN:
        return [where, data]
    _draw({name: kept[name]["rows"] for name in _DRAWN})
    return [where, data, _CHART]


def _markdown(part: Part) -> str:
    columns = list(part.rows[0])
    lines = [columns, ["---" if isinstance(part.rows[0][column], str) else "--:" for column in columns]]
    lines += [[_cell(value) for value in row.values()] for row in part.rows]
    return f"{part.title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: str | float | bool | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int):
        return str(value)
    return (
        f"{value:.0f}"
        if value >= 100
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2g}"
        if value < 0.1
        else f"{value:.2f}"
    )


def _short(value: str | float | bool | None) -> str | float | bool | None:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _draw(tables: Mapping[str, Sequence[Row]]) -> None:
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
