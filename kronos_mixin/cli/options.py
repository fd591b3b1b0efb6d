"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin.cli.console import USAGE, Console, fail, interruptible
from kronos_mixin.commands import each
from kronos_mixin.config import Config, ConfigError, read
from kronos_mixin.contract import ContractError, mixin_path
from kronos_mixin.inputs import Inputs
from kronos_mixin.jsonnet import CompileError, Mixin, evaluate, is_ours

MixinOption = Annotated[
    Path | None,
    typer.Option("--mixin", help="A mixin's folder or .libsonnet file. Default: the Kronos mixin.", metavar="PATH"),
]
NameOption = Annotated[
    str | None, typer.Option("--name", help="Prefix of file names. Default: from the mixin's path.", metavar="NAME")
]
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
    name: NameOption = None

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
            *each("--name", [self.name] if self.name else []),
        ]

    def evaluate(self, console: Console, *, above: Sequence[Config] = (), inputs: Inputs | None = None) -> Mixin:
        """Evaluate the mixin with these files, and with the command's own overrides above them.

        ``inputs`` notes what is read. Exits on an error.
        """
        inputs = inputs or Inputs()
        for path in self.config or []:
            inputs.note(path)
        try:
            configs = [*(read(path) for path in self.config or []), *above]
            with interruptible(), console.progress("compiling"):
                return evaluate(self.path, configs, jpath=self.jpath or (), name=self.name, inputs=inputs)
        except (CompileError, ConfigError) as error:
            fail(str(error))


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
    def arguments(self) -> list[str]:
        """These options, as they were given."""
        return [*each("--namespace", [self.namespace] if self.namespace else []), *each("--label", self.label or [])]

    @property
    def labels(self) -> dict[str, str]:
        """The labels of --label. Exits if one is malformed."""
        pairs = self.label or []
        if wrong := [pair for pair in pairs if "=" not in pair]:
            fail(f"--label {wrong[0]}: must be KEY=VALUE, such as release=prometheus", USAGE)
        return dict(pair.split("=", 1) for pair in pairs)


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
