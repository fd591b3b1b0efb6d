"""Evaluates a mixin: Jsonnet in, plain Python data out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _jsonnet

# `file:line:column-...` or `file:(line:column)-(line:column)`, with what stands there behind it.
_FRAME = re.compile(r"^\t(?P<file>[^\t]+?):\(?(?P<line>\d+):(?P<column>\d+)[^\t]*(?:\t(?P<what>.*))?$")


class CompileError(Exception):
    """A mixin, or the configuration laid over it, can't be compiled."""


@dataclass(frozen=True, slots=True)
class Mixin:
    """What a mixin holds, as plain data.

    ``dashboards`` maps file names to dashboards; ``alerts`` and ``rules`` are lists of Prometheus rule groups;
    ``scrape_configs`` is a list of Prometheus scrape jobs; ``config`` is ``_config.kronos`` with every override.
    """

    dashboards: Mapping[str, dict[str, Any]]
    alerts: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    scrape_configs: list[dict[str, Any]]
    config: Mapping[str, Any]


def evaluate(mixin: Path, config: Mapping[str, Any] | None = None) -> Mixin:
    """Evaluate ``mixin.libsonnet`` in the folder ``mixin``, everything in one VM.

    ``config`` is laid over ``_config``, objects merged and everything else replaced, as in
    ``{"kronos": {"rateWindow": "1m"}}``. Raises CompileError, which names file, line and reason.
    """
    # Lists of groups may be missing: a mixin without recording rules is a mixin.
    snippet = f"""
        local mixin = (import 'mixin.libsonnet') + {{ _config+:: {_overlay(config or {})} }};
        local field(name, default) = if std.objectHasAll(mixin, name) then mixin[name] else default;
        {{
          dashboards: field('grafanaDashboards', {{}}),
          alerts: field('prometheusAlerts', {{ groups: [] }}).groups,
          rules: field('prometheusRules', {{ groups: [] }}).groups,
          scrape_configs: field('prometheusScrapeConfigs', []),
          config: field('_config', {{ kronos: {{}} }}).kronos,
        }}
    """
    # The name decides where relative imports start. No such file exists.
    name = str(mixin / "(command line)")
    try:
        data: dict[str, Any] = json.loads(_jsonnet.evaluate_snippet(name, snippet))
    except RuntimeError as error:
        raise CompileError(_readable(str(error))) from None
    return Mixin(**data)


def _overlay(value: Any) -> str:
    """``value`` as Jsonnet in which every object is merged into what it is laid over."""
    if not isinstance(value, Mapping):
        return json.dumps(value)
    return "{" + ", ".join(f"{_field(key, field)} {_overlay(field)}" for key, field in value.items()) + "}"


def _field(key: str, value: Any) -> str:
    return json.dumps(key) + ("+:" if isinstance(value, Mapping) else ":")


def _readable(message: str) -> str:
    """One message out of a stack trace: the reason, and the innermost place that is not the standard library."""
    reason, *rest = message.strip().split("\n")
    frames = [match for line in rest if (match := _FRAME.match(line)) and match["file"] != "std.jsonnet"]
    reason = re.sub(r"^(RUNTIME|STATIC) ERROR: ", "", reason)
    if not frames:
        return reason
    first = frames[0]
    return f"{first['file']}:{first['line']}: {reason}"
