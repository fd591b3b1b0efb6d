"""The command line: its options, and the start of the service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import textwrap
from collections.abc import Iterable
from typing import Annotated, NoReturn

import typer

from kronos_mixin import __version__
from kronos_service.environment import drop_foreign
from kronos_service.http.listen import AddressError, Listener
from kronos_service.settings import PREFIX, Effective, Settings, SettingsError, read_settings
from kronos_service.telemetry import logs

EXIT_ADDRESS = 1
EXIT_SETTINGS = 2

_HELP_COLUMNS = 78

_LAST_LINES_SECONDS = 1.0
"""The longest wait at the end for whoever reads the log."""

_log = logs.get_logger("kronos.server")


def _settings_help() -> str:
    """Every setting with its default and its meaning, as paragraphs that Click leaves as they are."""
    lines = ["Settings, as environment variables or lines of a .env file in the working folder:", ""]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"={field.default}"
        meaning = textwrap.wrap(
            field.description or "", _HELP_COLUMNS, initial_indent="    ", subsequent_indent="    "
        )
        lines += ["\b", f"{PREFIX}{name.upper()}{default}", *meaning, ""]
    return "\n".join(lines)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kronos_service {__version__}")
        raise typer.Exit


@app.command(epilog=_settings_help())
def start(
    check_config: Annotated[
        bool, typer.Option("--check-config", help="Print each setting in force and where it is from, and exit.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Start the instrumented Kronos forecasting service, and run it until a signal stops it.

    \b
    Exit codes
    0      after a drain, or a signal before there was anything to drain
    1      an address cannot be used, or packages of the service are missing
    2      wrong settings or arguments
    128+n  after a second signal, n, or one that did not end the service in time
    """
    ignored = drop_foreign()
    try:
        effective = read_settings()
    except SettingsError as error:
        fail(str(error), EXIT_SETTINGS)
    warnings = (*effective.warnings, *ignored)
    if check_config:
        for line in (*effective.lines(), *(f"warning: {text}" for text in warnings)):
            typer.echo(line)
        return
    try:
        _run(effective, warnings)
    except AddressError as error:
        fail(str(error), EXIT_ADDRESS)


def fail(message: str, code: int) -> NoReturn:
    """End with a message for whoever started the service."""
    typer.echo(f"kronos_service: {message}", err=True)
    raise typer.Exit(code)


def _run(effective: Effective, warnings: Iterable[str]) -> NoReturn:
    settings = effective.settings
    logs.configure(settings.log_level, settings.log_format)
    for warning in warnings:
        _log.warning("settings", warning=warning)
    with contextlib.ExitStack() as stack:
        main = Listener.bind("KRONOS", settings.host, settings.port)
        stack.enter_context(main.socket)
        scrape = None
        if settings.metrics_port is not None:
            scrape = Listener.bind("KRONOS_METRICS", settings.metrics_host or settings.host, settings.metrics_port)
            stack.enter_context(scrape.socket)
        # Only now, because it brings PyTorch: --help need not wait for that, nor the news that an address is taken.
        from kronos_service.app import create_app
        from kronos_service.http.server import serve

        with asyncio.Runner() as runner:
            code = runner.run(serve(create_app(settings), effective, main, scrape))
            # Here, because everything after this would wait for threads: those that read files and look up names, and
            # that of the model, which would crash if the interpreter ended before it.
            logs.flush(_LAST_LINES_SECONDS)
            os._exit(code)
