"""Options that several commands have, and what they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin.cli.say import USAGE, Say, fail, interruptible
from kronos_mixin.commands import each
from kronos_mixin.config import Config, ConfigError, read
from kronos_mixin.contract import ContractError, mixin_path
from kronos_mixin.jsonnet import CompileError, Mixin, evaluate, is_ours

MixinOption = Annotated[
    Path | None,
    typer.Option(
        "--mixin", help="Folder of a mixin, or its .libsonnet file. Default: the Kronos mixin.", metavar="PATH"
    ),
]
NameOption = Annotated[
    str | None, typer.Option("--name", help="What the files' names begin with. Default: made from the mixin's path.")
]
DEFAULT_OUTPUT = Path("monitoring")
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder of the compiled files.", metavar="DIR")]


@dataclass(frozen=True)
class Source:
    """A mixin, and what the user lays over it."""

    mixin: MixinOption = None
    jpath: Annotated[
        list[Path] | None,
        typer.Option(
            "--jpath",
            "-J",
            help="Folder of Jsonnet libraries, searched before the vendor/ folders here and around the mixin. "
            "May be repeated; the last one wins.",
            metavar="DIR",
        ),
    ] = None
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config",
            help="File laid over _config: YAML, as in `kronos: {rateWindow: 1m}`, or Jsonnet (.libsonnet, .jsonnet), "
            "as in `{kronos+: {rateWindow: '1m'}}`. May be repeated; later ones lie above.",
            metavar="FILE",
        ),
    ] = None
    name: NameOption = None

    @property
    def path(self) -> Path:
        """As `path_of`."""
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

    def evaluate(self, speak: Say, *, below: Sequence[Config] = (), above: Sequence[Config] = ()) -> Mixin:
        """The mixin as data, between what the command itself lays below and above it; ends on an error."""
        try:
            configs = [*below, *(read(path) for path in self.config or []), *above]
            with speak.progress("compiling"), interruptible():
                return evaluate(self.path, configs, jpath=self.jpath or (), name=self.name)
        except (CompileError, ConfigError) as error:
            fail(str(error))


@dataclass(frozen=True)
class Metadata:
    """What Kubernetes objects carry."""

    namespace: Annotated[
        str | None, typer.Option("--namespace", help="Namespace of the Kubernetes objects. Default: none is written.")
    ] = None
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            help="Label of the Kubernetes objects, as your Prometheus may select rules by one. May be repeated.",
            metavar="KEY=VALUE",
        ),
    ] = None

    @property
    def arguments(self) -> list[str]:
        """These options, as they were given."""
        return [*each("--namespace", [self.namespace] if self.namespace else []), *each("--label", self.label or [])]

    @property
    def labels(self) -> dict[str, str]:
        """What --label says; ends on an error."""
        pairs = self.label or []
        if wrong := [pair for pair in pairs if "=" not in pair]:
            fail(f"--label {wrong[0]}: must be KEY=VALUE, as in --label release=prometheus", USAGE)
        return dict(pair.split("=", 1) for pair in pairs)


def output_arguments(output: Path) -> list[str]:
    """The option --output, if it was given."""
    return ["--output", str(output)] if output != DEFAULT_OUTPUT else []


def path_of(mixin: Path | None) -> Path:
    """The folder of the mixin, or the file if one was named; ends on an error."""
    try:
        path = mixin or mixin_path()
    except ContractError as error:
        fail(str(error))
    return path.parent if path.is_file() and is_ours(path) else path
