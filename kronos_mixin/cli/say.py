"""What the command line says: results on standard output, everything about them on standard error."""

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

OK, NO, USAGE, UNKNOWN = 0, 1, 2, 3
"""Exit codes. NO: findings, a refusal, or wrong input; USAGE: a wrong command line; UNKNOWN: it can't be told."""


@dataclass(frozen=True)
class Say:
    """Speaks to the user. ``quiet`` leaves results and errors alone; ``verbose`` adds details."""

    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only findings and errors.")] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also what took how long, and whole diffs.")] = (
        False
    )

    def result(self, text: str) -> None:
        """Something that was asked for: a finding, a diff."""
        typer.echo(text)

    def done(self, text: str) -> None:
        """Something that was done."""
        if not self.quiet:
            typer.echo(text)

    def note(self, text: str) -> None:
        """Something that the user should know."""
        if not self.quiet:
            typer.echo(paint(text, typer.colors.YELLOW, sys.stderr.isatty()), err=True)

    def detail(self, text: str) -> None:
        """Something that only a curious user wants to know."""
        if self.verbose:
            typer.echo(text, err=True)

    @contextlib.contextmanager
    def progress(self, text: str) -> Iterator[None]:
        """Show on a terminal, and only there, what is going on; with ``verbose`` also how long it took."""
        shown = sys.stderr.isatty() and not self.quiet
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
        """A unified diff, in colour on a terminal."""
        colours = {"+": typer.colors.GREEN, "-": typer.colors.RED, "@": typer.colors.CYAN}
        for line in lines:
            typer.echo(paint(line, colours.get(line[:1]), sys.stdout.isatty()))


def paint(text: str, colour: str | None, terminal: bool) -> str:
    """``text`` in ``colour`` on a terminal, unless the user wants none."""
    return typer.style(text, fg=colour) if colour and terminal and "NO_COLOR" not in os.environ else text


def fail(message: str, code: int = NO) -> NoReturn:
    """End with a message and an exit code."""
    typer.echo(f"{paint('kronos-mixin:', typer.colors.RED, sys.stderr.isatty())} {message}", err=True)
    raise typer.Exit(code)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end the program at once while it computes in C, where Python would see it only afterwards.

    Only for stretches that change nothing.
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


def end_in_order() -> None:
    """Make a request to end (SIGTERM, a closed terminal) an exception, so that half-done work is taken back."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), end)
