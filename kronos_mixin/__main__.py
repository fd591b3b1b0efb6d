"""The command line: `kronos-mixin`, or `python build.py` in a checkout."""

from __future__ import annotations

from typing import Annotated

import typer

from kronos_mixin import __version__
from kronos_mixin.cli import check, compile, generate, merge, say, vendor  # noqa: A004 - As the command is called.

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


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
    """Recording rules, alerts and dashboards for your Prometheus and Grafana, out of a mixin.

    A mixin is a Jsonnet package of them. Kronos's own is built in; any other in the community's layout works, too.

    \b
    compile   makes the files that you import
    check     says what is wrong with a mixin before a Prometheus has to
    generate  writes all that is generated, in a checkout of the Kronos mixin
    merge     adds rules and scrape job to a prometheus.yml that you have; unmerge takes them out
    vendor    lays the Kronos mixin into a Jsonnet repository of yours

    Each has examples: kronos-mixin compile --help

    \b
    Exit codes
    0  done, or nothing found
    1  findings, a refusal, or wrong input: the message says which, and what to do
    2  the command line is wrong
    3  vendor only: the remote repository can't be asked
    """


app.command()(compile.compile)
app.command()(check.check)
app.command()(generate.generate)
app.command()(merge.merge)
app.command()(merge.unmerge)
app.command()(vendor.vendor)


def main() -> None:
    """Entry point of the installed command."""
    say.end_in_order()
    app(prog_name="kronos-mixin")


if __name__ == "__main__":
    main()
