"""The results of a run: tables, a file of JSON, and a page of the documentation with a chart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

_DOCS = Path(__file__).parents[2] / "docs"
PAGE, DATA, CHART = _DOCS / "performance.md", _DOCS / "performance.json", _DOCS / "pictures" / "performance.svg"

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


def save(parts: Iterable[Part], machine: Mapping[str, str | float], path: Path) -> None:
    """Write everything as JSON, floats to four digits."""
    tables = {
        part.name: [{name: _short(value) for name, value in row.items()} for row in part.rows] for part in parts
    }
    path.write_text(json.dumps({"machine": machine, **tables}, indent=1) + "\n", encoding="utf-8")


def document(parts: Sequence[Part], machine: Mapping[str, str | float]) -> None:
    """Put the tables, the machine and the chart into the documentation."""
    page = PAGE.read_text(encoding="utf-8")
    sections = {part.name: _markdown(part) for part in parts}
    sections["machine"] = ", ".join(f"{name} {value}" for name, value in machine.items()) + "."
    for name, text in sections.items():
        pattern = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        if not (found := pattern.search(page)):
            raise ValueError(
                f"{PAGE} has no section {name}: add <!-- measured: {name} --> and <!-- end of {name} -->"
            )
        page = f"{page[: found.end(1)]}\n{text}\n\n{page[found.start(2) :]}"
    PAGE.write_text(page, encoding="utf-8")
    save(parts, machine, DATA)
    _draw({part.name: part.rows for part in parts})


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
    figure.savefig(CHART, metadata={"Date": None})
