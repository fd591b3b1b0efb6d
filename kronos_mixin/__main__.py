"""The command line: `kronos-mixin`, or `python build.py` in a checkout."""

from __future__ import annotations

from typing import Annotated

import typer

from kronos_mixin import __version__
from kronos_mixin.cli import (
    check,
    compile,  # noqa: A004 - As the command is called.
    console,
    drill,
    generate,
    install,
    merge,
    push,
    serve,
    vendor,
    verify,
)
from kronos_mixin.commands import command

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


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
    3  diff, push, install, update, vendor: a server can't be reached
       verify: nothing is wrong, but not all could be told
    """


app.command()(compile.compile)
app.command()(check.check)
app.command()(serve.serve)
app.command()(generate.generate)
app.command()(merge.merge)
app.command()(merge.unmerge)
app.command()(drill.drill)
app.command()(verify.verify)
app.command()(push.diff)
app.command()(push.push)
app.command()(install.install)
app.command()(install.update)
app.command()(vendor.vendor)


def main() -> None:
    """Entry point of the installed command."""
    console.exit_on_signals()
    app(prog_name=command())


if __name__ == "__main__":
    main()
