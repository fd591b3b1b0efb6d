"""Options that several commands share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kronos_mixin import overlay
from kronos_mixin.cli.console import USAGE, Console, fail, interruptible
from kronos_mixin.commands import each
from kronos_mixin.config import Config, ConfigError, read
from kronos_mixin.contract import ContractError, mixin_path
from kronos_mixin.formats.converted import Place
from kronos_mixin.inputs import Inputs
from kronos_mixin.jsonnet import CompileError, Mixin, evaluate, is_ours
from kronos_mixin.jsonnet.engines import VARIABLE, Choice
from kronos_mixin.jsonnet.externals import ExternalError, Externals, parsed

if TYPE_CHECKING:  # It loads much that compiling does not need.
    from kronos_mixin.merge.request import Request

MixinOption = Annotated[
    Path | None,
    typer.Option("--mixin", help="A mixin's folder or .libsonnet file. Default: the Kronos mixin.", metavar="PATH"),
]
NameOption = Annotated[
    str | None, typer.Option("--name", help="Prefix of file names. Default: from the mixin's path.", metavar="NAME")
]
EXTERNALS = ("ext_str", "ext_code", "tla_str", "tla_code")
_VALUE = "NAME[=VALUE]"
DEFAULT_OUTPUT = Path("monitoring")
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder for the compiled files.", metavar="DIR")]


@dataclass(frozen=True)
class Source:
    """A mixin and its configuration."""

    mixin: MixinOption = None
    jpath: Annotated[
        list[Path] | None,
        typer.Option(
            "--jpath",
            "-J",
            help="Library folder, searched before vendor/ here and around the mixin. May be repeated; the last wins.",
            metavar="DIR",
        ),
    ] = None
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config",
            help="Overrides for _config: YAML such as `kronos: {rateWindow: 1m}`, or Jsonnet (.libsonnet, .jsonnet) "
            "such as `{kronos+: {rateWindow: '1m'}}`. May be repeated; the last wins.",
            metavar="FILE",
        ),
    ] = None
    overlay: Annotated[
        list[Path] | None,
        typer.Option(
            "--overlay",
            help="Changes to alerts, recording rules and dashboards of any mixin, in YAML such as "
            "`alerts: {NodeClockSkewDetected: {enabled: false}}`. May be repeated.",
            metavar="FILE",
        ),
    ] = None
    name: NameOption = None
    ext_str: Annotated[
        list[str] | None,
        typer.Option("--ext-str", help="External variable of Jsonnet, as text. May be repeated.", metavar=_VALUE),
    ] = None
    ext_code: Annotated[
        list[str] | None,
        typer.Option("--ext-code", help="External variable of Jsonnet, as code. May be repeated.", metavar=_VALUE),
    ] = None
    tla_str: Annotated[
        list[str] | None,
        typer.Option("--tla-str", help="Argument of a mixin that is a function, as text.", metavar=_VALUE),
    ] = None
    tla_code: Annotated[
        list[str] | None,
        typer.Option("--tla-code", help="Argument of a mixin that is a function, as code.", metavar=_VALUE),
    ] = None
    engine: Annotated[
        Choice | None,
        typer.Option(
            "--engine",
            help="Implementation of Jsonnet. auto: Go where it is installed, it is quicker; C++ elsewhere.",
            envvar=VARIABLE,
        ),
    ] = None

    @property
    def path(self) -> Path:
        """The mixin's folder, or its file if that was named."""
        return path_of(self.mixin)

    @property
    def arguments(self) -> list[str]:
        """These options, as they were given."""
        return [
            *each("--mixin", [self.mixin] if self.mixin else []),
            *each("--jpath", self.jpath or []),
            *each("--config", self.config or []),
            *each("--overlay", self.overlay or []),
            *each("--name", [self.name] if self.name else []),
            *(part for option, values in self.outside.items() for part in each(option, values)),
        ]

    @property
    def outside(self) -> dict[str, list[str]]:
        """What was given as external variables and arguments, by option."""
        return {_option(name): given for name in EXTERNALS if (given := getattr(self, name))}

    def after(self, merged: Request) -> Source:
        """The same on top of what an earlier merge was given."""
        return self.with_those(
            [*merged.config, *(self.config or ())],
            [*merged.overlay, *(self.overlay or ())],
            {**merged.outside, **self.outside},
        )

    def with_those(
        self, config: Sequence[Path], overlay: Sequence[Path], outside: Mapping[str, Sequence[str]]
    ) -> Source:
        """The same mixin with other files, variables and arguments."""
        ext_str, ext_code, tla_str, tla_code = (list(outside.get(_option(name), ())) for name in EXTERNALS)
        return dataclasses.replace(
            self,
            config=list(config),
            overlay=list(overlay),
            ext_str=ext_str,
            ext_code=ext_code,
            tla_str=tla_str,
            tla_code=tla_code,
        )

    def evaluate(self, console: Console, *, above: Sequence[Config] = (), inputs: Inputs | None = None) -> Mixin:
        """Evaluate the mixin with these files, and with the command's own overrides above them.

        ``inputs`` notes what is read. Exits on an error.
        """
        try:
            with interruptible(), console.progress("compiling"):
                return self.read(above=above, inputs=inputs)
        except ExternalError as error:
            fail(str(error), USAGE)
        except (CompileError, ConfigError) as error:
            fail(str(error))

    def read(self, *, above: Sequence[Config] = (), inputs: Inputs | None = None) -> Mixin:
        """As `evaluate`, for callers that go on after an error. Raises ExternalError, CompileError, ConfigError."""
        inputs = inputs or Inputs()
        for path in (*(self.config or ()), *(self.overlay or ())):
            inputs.note(path)
        configs = [*(read(path) for path in self.config or []), *above]
        given = {name: parsed(_option(name), getattr(self, name) or ()) for name in EXTERNALS}
        mixin = evaluate(
            self.path,
            configs,
            jpath=self.jpath or (),
            name=self.name,
            inputs=inputs,
            externals=Externals(**given),
            choice=self.engine,
        )
        return overlay.apply(mixin, [overlay.read(path) for path in self.overlay or ()])


@dataclass(frozen=True)
class Metadata:
    """Metadata of Kubernetes objects."""

    namespace: Annotated[
        str | None,
        typer.Option("--namespace", help="Namespace of Kubernetes objects. Default: none.", metavar="NAME"),
    ] = None
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            help="Label of Kubernetes objects. May be repeated.",
            metavar="KEY=VALUE",
        ),
    ] = None

    @property
    def labels(self) -> dict[str, str]:
        """The labels of --label. Exits if one is malformed."""
        pairs = self.label or []
        if wrong := [pair for pair in pairs if "=" not in pair]:
            fail(f"--label {wrong[0]}: must be KEY=VALUE, such as release=prometheus", USAGE)
        return dict(pair.split("=", 1) for pair in pairs)


@dataclass(frozen=True)
class Installation(Metadata):
    """What a mixin cannot know of the place that it is compiled for."""

    data_source: Annotated[
        str,
        typer.Option("--data-source", help="Uid of Grafana's data source, for grafana-alerts.", metavar="UID"),
    ] = Place.data_source

    @property
    def arguments(self) -> list[str]:
        """These options, as they were given."""
        return [
            *each("--namespace", [self.namespace] if self.namespace else []),
            *each("--label", self.label or []),
            *each("--data-source", [self.data_source] if self.data_source != Place.data_source else []),
        ]

    @property
    def place(self) -> Place:
        """These options, for what is compiled. Exits if a label is malformed."""
        return Place(self.labels, self.namespace, self.data_source)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def output_arguments(output: Path) -> list[str]:
    """The option --output, if it was given."""
    return ["--output", str(output)] if output != DEFAULT_OUTPUT else []


def path_of(mixin: Path | None) -> Path:
    """The mixin's folder, or its file if that was named. Exits if the Kronos mixin can't be found."""
    try:
        path = mixin or mixin_path()
    except ContractError as error:
        fail(str(error))
    return path.parent if path.is_file() and is_ours(path) else path
