"""Options that several commands have, and what they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from kronos_mixin.cli import say
from kronos_mixin.cli.say import Say, fail
from kronos_mixin.config import Config, ConfigError, read
from kronos_mixin.contract import ContractError, mixin_path
from kronos_mixin.jsonnet import CompileError, Mixin, evaluate, is_ours

MixinOption = Annotated[
    Path | None,
    typer.Option(
        "--mixin", help="Folder of a mixin, or its .libsonnet file. Default: the Kronos mixin.", metavar="PATH"
    ),
]
JpathOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--jpath",
        "-J",
        help="Folder of Jsonnet libraries, searched before the vendor/ folders here and around the mixin. "
        "May be repeated; the last one wins.",
        metavar="DIR",
    ),
]
ConfigOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        help="File laid over _config: YAML, as in `kronos: {rateWindow: 1m}`, or Jsonnet (.libsonnet, .jsonnet), as "
        "in `{kronos+: {rateWindow: '1m'}}`. May be repeated; later ones lie above.",
        metavar="FILE",
    ),
]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder of the compiled files.", metavar="DIR")]
NameOption = Annotated[
    str | None, typer.Option("--name", help="What the files' names begin with. Default: made from the mixin's path.")
]
NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", help="Namespace of the Kubernetes objects. Default: none is written.")
]
LabelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        help="Label of the Kubernetes objects, as your Prometheus may select rules by one. May be repeated.",
        metavar="KEY=VALUE",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Only findings and errors.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Also what took how long, and whole diffs.")]


def path_of(mixin: Path | None) -> Path:
    """The folder of the mixin, or the file if one was named."""
    try:
        path = mixin or mixin_path()
    except ContractError as error:
        fail(str(error))
    return path.parent if path.is_file() and is_ours(path) else path


def evaluated(
    speak: Say,
    mixin: Path | None,
    jpath: list[Path] | None,
    config: list[Path] | None,
    name: str | None,
    *,
    below: Sequence[Config] = (),
    above: Sequence[Config] = (),
) -> Mixin:
    """The mixin as data, with configurations of the command's own below and above the user's; ends on an error."""
    try:
        configs = [*below, *(read(path) for path in config or []), *above]
        with speak.progress("compiling"), say.interruptible():
            return evaluate(path_of(mixin), configs, jpath=jpath or (), name=name)
    except (CompileError, ConfigError) as error:
        fail(str(error))


def labels_of(pairs: list[str] | None) -> dict[str, str]:
    """What --label says; ends on an error."""
    wrong = [pair for pair in pairs or [] if "=" not in pair]
    if wrong:
        fail(f"--label {wrong[0]}: must be KEY=VALUE, as in --label release=prometheus", say.USAGE)
    return dict(pair.split("=", 1) for pair in pairs or [])
