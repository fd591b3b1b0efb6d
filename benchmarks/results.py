"""The results of a run: tables, and a page of the documentation with the same numbers as JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_DOCS = Path(__file__).parents[1] / "docs"
PERFORMANCE, SCALE = _DOCS / "performance.md", _DOCS / "scale.md"

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
    """Put the results into a file of JSON, beside the parts that it has already."""
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for part in parts:
        rows = [{name: _short(value) for name, value in row.items()} for row in part.rows]
        kept[part.name] = {"machine": machine, "rows": rows}
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def document(parts: Sequence[Part], machine: Mapping[str, str | float], where: Path = PERFORMANCE) -> list[Path]:
    """Put the tables into a page, and return the files written.

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
    save(parts, machine, data)
    return [where, data]


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
