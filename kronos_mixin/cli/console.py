"""Output of the command line: results on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, NoReturn

import typer

FAILED, USAGE, UNREACHABLE = 1, 2, 3
"""Exit codes: findings, a refusal or bad input; a bad command line; a remote that can't be reached."""


@dataclass(frozen=True)
class Console:
    """Prints to the user."""

    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only findings and errors.")] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print timings and complete diffs.")] = False

    def result(self, text: str) -> None:
        """Print what was asked for, such as a finding."""
        typer.echo(text)

    def done(self, text: str) -> None:
        """Print what was done; not with --quiet."""
        if not self.quiet:
            typer.echo(text)

    def note(self, text: str) -> None:
        """Print a warning; not with --quiet."""
        if not self.quiet:
            typer.echo(paint(text, typer.colors.YELLOW, sys.stderr.isatty()), err=True)

    def detail(self, text: str) -> None:
        """Print a detail; only with --verbose."""
        if self.verbose:
            typer.echo(text, err=True)

    @contextlib.contextmanager
    def progress(self, text: str) -> Iterator[None]:
        """Show on a terminal what is going on, and with --verbose how long it took."""
        shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not self.quiet
        start = time.monotonic()
        if shown:
            typer.echo(f"{text} ...", err=True, nl=False)
        try:
            yield
        finally:
            if shown:
                typer.echo("\r\x1b[K", err=True, nl=False)
            self.detail(f"{text}: {time.monotonic() - start:.2f} s")

    def diff(self, lines: list[str]) -> None:
        """Print a unified diff, in colour on a terminal."""
        colours = {"+": typer.colors.GREEN, "-": typer.colors.RED, "@": typer.colors.CYAN}
        for line in lines:
            typer.echo(paint(line, colours.get(line[:1]), sys.stdout.isatty()))


def paint(text: str, colour: str | None, terminal: bool) -> str:
    """``text`` in ``colour`` on a terminal, unless NO_COLOR is set or the terminal has none."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return typer.style(text, fg=colour) if colour and terminal and not plain else text


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Exit with a message on standard error."""
    typer.echo(f"{paint('kronos-mixin:', typer.colors.RED, sys.stderr.isatty())} {message}", err=True)
    raise typer.Exit(code)


def confirm(question: str) -> None:
    """Exit unless the user says yes."""
    try:
        if typer.confirm(question, err=True):
            return
    except typer.Abort:
        typer.echo(err=True)
        fail("There is no one to ask: add --yes or --dry-run. Nothing was changed.")
    fail("Nothing was changed.")


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C kill the process while it runs C code, which Python can't interrupt.

    Only for code without side effects.
    """
    try:
        old = signal.signal(signal.SIGINT, signal.SIG_DFL)
    except ValueError:  # Not the main thread.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)


def exit_on_signals() -> None:
    """Turn SIGTERM and SIGHUP into SystemExit, so that a half-made change is undone."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), end)
