"""Completion of values that a prometheus.yml holds. Nothing is offered if it can't be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from kronos_mixin.merge.blocks import blocks
from kronos_mixin.merge.plan import read
from kronos_mixin.merge.prometheusyml import MergeError, to_data, tree


def jobs(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """The scrape jobs of the configuration."""
    entries = to_data(tree(_text(ctx)).get("scrape_configs", ("list", "", [])))
    names = [str(entry.get("job_name")) for entry in entries if isinstance(entry, dict)]
    return (name for name in names if name.startswith(incomplete))


def mixins(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """The mixins merged into the configuration."""
    names = {block.name for block in blocks(_text(ctx))}
    return (name for name in sorted(names) if name.startswith(incomplete))


def _text(ctx: typer.Context) -> str:
    # An option that still lacks its value keeps Click from giving the argument its name.
    named = [ctx.params.get("prometheus_yml"), *ctx.args]
    try:
        text = read(Path(next(filter(None, named), "")))
        tree(text)
    except MergeError:
        return ""
    return text
