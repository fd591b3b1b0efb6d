"""Evaluates any mixin: Jsonnet in, plain Python data out."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kronos_mixin import schema
from kronos_mixin.config import Config, Data, meant
from kronos_mixin.inputs import Inputs
from kronos_mixin.jsonnet import shape
from kronos_mixin.jsonnet.engines import Choice, EngineError, engine
from kronos_mixin.jsonnet.externals import Externals
from kronos_mixin.jsonnet.mixin import CompileError, Mixin, entry, name_of
from kronos_mixin.jsonnet.program import Program


def evaluate(
    mixin: Path,
    config: Config | Sequence[Config] = (),
    *,
    jpath: Sequence[Path] = (),
    name: str | None = None,
    inputs: Inputs | None = None,
    externals: Externals | None = None,
    choice: Choice | None = None,
) -> Mixin:
    """Evaluate a mixin, everything in one VM.

    ``mixin`` is a folder with a mixin.libsonnet, or such a file. Each ``config`` is laid over ``_config``: data is
    merged object by object, as in ``{"kronos": {"rateWindow": "1m"}}``; a Path is a Jsonnet file, and says itself
    with ``+:`` what it adds to. In ``jpath``, as in the library paths of jsonnet, a later folder wins; the vendor
    folders around the mixin are searched after it. ``inputs`` notes the files that this reads, and where it looks in
    vain. ``externals`` are external variables, and arguments if the mixin is a function; ``choice`` is that of the
    implementation of Jsonnet. Raises CompileError, which names file, line and reason.
    """
    inputs = inputs or Inputs()
    file = entry(mixin, inputs)
    configs = [config] if isinstance(config, Mapping | Path) else list(config)
    try:
        program = Program(file, configs, jpath, inputs, externals or Externals(), engine(choice))
    except EngineError as error:
        raise CompileError(str(error)) from None
    # A wrong knob breaks the mixin anywhere, or at its own assertion, which knows neither file nor line.
    if program.ours and configs:
        _refuse(_wrong_knobs(program))
    try:
        data = _whole(program)
    except CompileError:
        if not program.ours:
            _refuse(_wrong_knobs(program))
        raise
    if not program.ours:
        _refuse([*_problems(program, data["defaults"], data["config"]), *_unknown_knobs(program, data["knobs"])])
    try:
        dashboards, folder = shape.dashboards(data["grafanaDashboards"]), shape.folder(data["grafanaDashboardFolder"])
        alerts, rules = (shape.groups(field, data[field]) for field in ("prometheusAlerts", "prometheusRules"))
    except shape.ShapeError as error:
        raise CompileError(f"{file}: {error}") from None
    return Mixin(
        dashboards=dashboards,
        alerts=alerts,
        rules=rules,
        # Jsonnet sorts keys; people look for the name first.
        scrape_configs=[
            {"job_name": job["job_name"], **job} if isinstance(job, dict) and "job_name" in job else job
            for job in data["prometheusScrapeConfigs"] or []
        ],
        central=shape.groups("prometheusCentralAlerts", data["prometheusCentralAlerts"]),
        manifests=data["kubernetesManifests"] or {},
        objectives=data["serviceLevelObjectives"] or [],
        alertmanager=data["alertmanagerConfig"] or {},
        config=data["config"],
        name=name or name_of(file),
        folder=folder,
    )


def _whole(program: Program) -> dict[str, Any]:
    """All that a mixin exports."""
    data: dict[str, Any] = program.evaluate(_snippet(program))
    if data["folder"] and not program.ours:
        # In some mixins it is an error until somebody sets it.
        with contextlib.suppress(CompileError):
            data["grafanaDashboardFolder"] = program.evaluate(
                f"({program.base} {program.overlays}).grafanaDashboardFolder"
            )
    return data


def _snippet(program: Program) -> str:
    # Everything may be missing or hidden: a mixin without recording rules is a mixin. `_config` as a whole can't be
    # asked for: other mixins keep functions in it, and fields that raise an error until they are overridden.
    # What the assertions of ours say has been checked already, with the places of the mistakes.
    return f"""
        local base = {program.base};
        local mixin = base {program.overlays} {"+ { kronosStrict:: false }" if program.ours else ""};
        local get(name) = if std.objectHasAll(mixin, name) then mixin[name] else null;
        local config(mixin) =
          if std.objectHasAll(mixin, '_config') && std.isObject(mixin._config) then mixin._config else {{}};
        {{
          [name]: get(name)
          for name in ['grafanaDashboards', 'prometheusAlerts', 'prometheusRules', 'prometheusScrapeConfigs',
                       'serviceLevelObjectives']
        }} + {{
          grafanaDashboardFolder: {"get('grafanaDashboardFolder')" if program.ours else "null"},
          folder: std.objectHasAll(mixin, 'grafanaDashboardFolder'),
          alertmanagerConfig: {"get('alertmanagerConfig')" if program.ours else "null"},
          prometheusCentralAlerts: {"get('prometheusCentralAlerts')" if program.ours else "null"},
          kubernetesManifests: {"get('kubernetesManifests')" if program.ours else "null"},
          config: if std.objectHasAll(config(mixin), 'kronos') then config(mixin).kronos else {{}},
          defaults: get('kronosDefaults'),
          knobs: std.objectFieldsAll(config(base)),
        }}
    """


def _wrong_knobs(program: Program) -> list[str]:
    """What is wrong with the configuration of a mixin that can't be evaluated, if it is ours or holds ours."""
    # The configuration alone, without the assertions that may just have failed.
    snippet = f"""
        local base = {program.base} + {{ kronosStrict:: false }};
        local config = (base {program.overlays})._config;
        {{
          defaults: base.kronosDefaults,
          config: config.kronos,
          unknown: [key for key in std.objectFieldsAll(config) if !std.objectHasAll(base._config, key)],
        }}
    """
    try:
        data = program.evaluate(snippet)
    except CompileError:
        return []  # It is another error, which has been reported.
    return _problems(program, data["defaults"], data["config"], data["unknown"])


def _unknown_knobs(program: Program, knobs: Sequence[str]) -> list[str]:
    """What YAML sets in another mixin's `_config` that is not there, and would do nothing."""
    elsewhere = "If the mixin takes it nevertheless, set it in a Jsonnet file"
    return [
        f"{config.places.get((key,), '')}: {schema.TOO_DEEP}"
        if key == "_config"
        else f"{config.places.get((key,), '')}: No such knob: _config.{key}. {meant(key, knobs)} {elsewhere}"
        for config in program.configs
        if isinstance(config, Data)
        for key in config
        if key not in knobs
    ]


def _refuse(problems: list[str]) -> None:
    if problems:
        raise CompileError("\n".join(problems))


def _problems(program: Program, defaults: Any, given: Any, unknown: Sequence[str] = ()) -> list[str]:
    """What is wrong with `_config.kronos`; nothing in a mixin without it, which has no defaults."""
    if defaults is None:
        return []
    if program.ours:
        return schema.problems({"kronos": defaults}, {**dict.fromkeys(unknown), "kronos": given}, program.configs)
    # Somebody's own mixin, with ours in it, sets knobs itself.
    return schema.problems({"kronos": defaults}, {"kronos": given}, [program.file, *program.configs])
