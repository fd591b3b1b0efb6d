"""Evaluates any mixin: Jsonnet in, plain Python data out."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kronos_mixin import schema, shape, trace
from kronos_mixin.config import Config, Data, meant, overlays
from kronos_mixin.engines import Choice, Engine, EngineError, JsonnetError, engine
from kronos_mixin.externals import Externals
from kronos_mixin.imports import Imports
from kronos_mixin.inline import inlined
from kronos_mixin.inputs import Inputs

ENTRIES = ("mixin.libsonnet", "mixin.jsonnet", "main.libsonnet")
"""What a mixin's folder is entered by."""

# Folders that say nothing about what is in them, when a name is made from a path.
_NAMELESS = {"mixin", "mixins", "jsonnet", "monitoring", "contrib", "doc", "docs", "documentation", "lib", "src"}


# How a message begins that is about the whole mixin: its arguments, if it is a function, or what it holds.
_WHOLE = re.compile(r"function has no parameter|missing argument|couldn't manifest function")


class CompileError(Exception):
    """A mixin, or the configuration laid over it, can't be compiled."""


@dataclass(frozen=True, slots=True)
class Mixin:
    """What a mixin holds, as plain data.

    ``dashboards`` maps file names to dashboards; ``alerts`` and ``rules`` are lists of Prometheus rule groups;
    ``scrape_configs`` is a list of Prometheus scrape jobs; ``objectives`` is one of name, title, description, target,
    window and the queries bad and valid; ``alertmanager`` is an example of its configuration;
    ``central`` are groups of alerts for a centre that receives from several servers;
    ``manifests`` are objects that run the service in Kubernetes, by path;
    ``config`` is ``_config.kronos`` with every override, empty for a mixin that has no such thing. ``name`` begins
    the names of files, ``folder`` is Grafana's.
    """

    dashboards: Mapping[str, dict[str, Any]]
    alerts: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    scrape_configs: list[dict[str, Any]] = field(default_factory=list)
    objectives: list[dict[str, Any]] = field(default_factory=list)
    alertmanager: Mapping[str, Any] = field(default_factory=dict)
    central: list[dict[str, Any]] = field(default_factory=list)
    manifests: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    name: str = "kronos"
    folder: str = ""


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
        program = _Program(file, configs, jpath, inputs, externals or Externals(), engine(choice))
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


def entry(mixin: Path, inputs: Inputs | None = None) -> Path:
    """The file to import for ``mixin``, which may be it, or its folder. Raises CompileError if there is none."""
    inputs = inputs or Inputs()
    for path in (mixin, *(mixin / name for name in ENTRIES)):
        inputs.note(path)
    if mixin.is_file():
        return mixin
    for name in ENTRIES:
        if (mixin / name).is_file():
            return mixin / name
    if mixin.is_dir():
        raise CompileError(f"{mixin}: holds no {', '.join(ENTRIES[:-1])} or {ENTRIES[-1]}; name the file to compile")
    raise CompileError(f"{mixin}: there is no such file or folder")


def is_ours(mixin: Path) -> bool:
    """Whether it is the Kronos mixin itself, here or vendored, and not one of the many others."""
    folder = mixin if mixin.is_dir() else mixin.parent
    return (folder / "metrics.json").is_file() and (folder / "config.libsonnet").is_file()


def name_of(mixin: Path) -> str:
    """A name for the mixin's files, from its path: `node` for `.../node-mixin/mixin.libsonnet`."""
    if is_ours(mixin):
        return "kronos"
    for part in [mixin.stem, *(parent.name for parent in mixin.resolve().parents)]:
        name = part.removesuffix("-mixin").removesuffix("_mixin")
        if name and name not in _NAMELESS and part != "main":
            return "".join(char if char.isalnum() or char in "._-" else "-" for char in name)
    return "mixin"


def _library_path(file: Path, jpath: Sequence[Path], inputs: Inputs) -> list[Path]:
    """Where imports are searched, the last folder first: vendor folders of here and around the mixin, ``jpath``."""
    folder = file.resolve().parent
    # A mixin that lies in a vendor folder finds its neighbours there; one that brought its own finds those first.
    around = [
        parent if parent.name == "vendor" else parent / "vendor" for parent in reversed([folder, *folder.parents])
    ]
    found = [Path("vendor"), *around, *jpath]
    for path in found:
        inputs.note(path)
    return [path for path in dict.fromkeys(found) if path.is_dir()]


@dataclass(frozen=True, slots=True)
class _Program:
    """A mixin, and all that its evaluation depends on."""

    file: Path
    configs: Sequence[Config]
    jpath: Sequence[Path]
    inputs: Inputs
    externals: Externals
    engine: Engine

    @property
    def ours(self) -> bool:
        return is_ours(self.file)

    @property
    def _import(self) -> str:
        return f"import {json.dumps(self.file.name)}"

    @property
    def base(self) -> str:
        """Jsonnet for the mixin without configuration."""
        wrong = f"{self.file}: is no object but of the type %s, and has no dashboards, alerts or rules"
        return f"""(
            local loaded = {self._import};
            local value = if std.isFunction(loaded) then loaded({self.externals.arguments}) else loaded;
            if std.isObject(value) then value else error {json.dumps(wrong)} % std.type(value)
        )"""

    @property
    def overlays(self) -> str:
        """Jsonnet that lays the configuration over the mixin."""
        return overlays(self.configs, self.ours)

    def evaluate(self, snippet: str) -> Any:
        """The data that ``snippet`` gives, which may read the mixin's files by relative paths."""
        missing = [path for path in self.jpath if not path.is_dir()]
        if missing:
            raise CompileError(f"{missing[0]}: is no folder, but given as a library path")
        paths = _library_path(self.file, self.jpath, self.inputs)
        # The name decides where relative imports start. No such file exists.
        name, variables = str(self.file.parent / trace.SNIPPET), self.externals.variables
        if self.ours and self.engine.choice is Choice.CPP:
            whole = inlined(self.file, Imports(paths, self.inputs))
            # If that fails, the files by themselves tell where.
            with contextlib.suppress(JsonnetError):
                moved = snippet.replace(self._import, whole or self._import, 1)
                return self.engine.evaluate(name, moved, Imports(paths, self.inputs), variables)
        try:
            return self.engine.evaluate(name, snippet, Imports(paths, self.inputs), variables)
        except JsonnetError as error:
            told = trace.parsed(str(error), paths)
        if told.steps and not told.own:
            # Go does not tell from where in the user's code a library was asked for what is only now evaluated.
            with contextlib.suppress(EngineError):
                try:
                    engine(Choice.CPP).evaluate(name, snippet, Imports(paths, self.inputs), variables)
                except JsonnetError as error:
                    told = trace.parsed(str(error), paths)
        raise CompileError(f"{self.file}: {told}" if not told.frames and _WHOLE.match(told.reason) else str(told))


def _whole(program: _Program) -> dict[str, Any]:
    """All that a mixin exports."""
    data: dict[str, Any] = program.evaluate(_snippet(program))
    if data["folder"] and not program.ours:
        # In some mixins it is an error until somebody sets it.
        with contextlib.suppress(CompileError):
            data["grafanaDashboardFolder"] = program.evaluate(
                f"({program.base} {program.overlays}).grafanaDashboardFolder"
            )
    return data


def _snippet(program: _Program) -> str:
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


def _wrong_knobs(program: _Program) -> list[str]:
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


def _unknown_knobs(program: _Program, knobs: Sequence[str]) -> list[str]:
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


def _problems(program: _Program, defaults: Any, given: Any, unknown: Sequence[str] = ()) -> list[str]:
    """What is wrong with `_config.kronos`; nothing in a mixin without it, which has no defaults."""
    if defaults is None:
        return []
    if program.ours:
        return schema.problems({"kronos": defaults}, {**dict.fromkeys(unknown), "kronos": given}, program.configs)
    # Somebody's own mixin, with ours in it, sets knobs itself.
    return schema.problems({"kronos": defaults}, {"kronos": given}, [program.file, *program.configs])
