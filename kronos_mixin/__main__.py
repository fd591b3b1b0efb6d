"""The command line: `kronos-mixin`, or `python build.py` in a checkout."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from kronos_mixin import __version__
from kronos_mixin.cli import console
from kronos_mixin.cli.groups import Command
from kronos_mixin.commands import command

COMMANDS = {
    "compile": "compile",
    "check": "check",
    "serve": "serve",
    "generate": "generate",
    "merge": "merge",
    "unmerge": "merge",
    "drill": "drill",
    "verify": "verify",
    "diff": "push",
    "push": "push",
    "install": "install",
    "update": "install",
    "vendor": "vendor",
}
"""The commands in the order of --help, each with its module in kronos_mixin.cli, which has a function of its name."""


class _Loaded(Mapping[str, Any]):
    """Commands, each loaded when it is asked for: all of them would take longer than to compile the mixin."""

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __getitem__(self, name: str) -> Any:
        function = getattr(importlib.import_module(f"kronos_mixin.cli.{COMMANDS[name]}"), name)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(name, cls=Command)(function)
        return get_command(alone)


class _Group(TyperGroup):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Loaded()  # type: ignore[assignment]


app = typer.Typer(cls=_Group, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kronos-mixin {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compile, check and install Prometheus mixins.

    A mixin is a Jsonnet package of recording rules, alerts and dashboards. The Kronos mixin is built in; any other
    in the usual layout works, too. Each command shows examples: kronos-mixin compile --help

    \b
    Exit codes
    0  done, or nothing found
    1  findings, a refusal or bad input; the message says what to do about it
    2  bad command line
    3  diff, drill, push, install, update, vendor: a server can't be reached
       verify: nothing is wrong, but not all could be told

    \b
    For programs
    --format json, which all but serve have, prints one object: ok (exit code 0),
    error (why it could not go on, or null), notes (warnings) and the results.
      kronos-mixin merge prometheus.yml --yes --format json
    """


def main() -> None:
    """Entry point of the installed command."""
    console.exit_on_signals()
    app(prog_name=command())


if __name__ == "__main__":
    main()
