"""Output of the command line: results on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import enum
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, NoReturn

import typer

FAILED, USAGE, UNREACHABLE = 1, 2, 3
"""Exit codes: findings, a refusal or bad input; a bad command line; a remote that can't be reached."""

_NO_ONE = "There is no one to ask: add --yes or --dry-run. Nothing was changed."


class Format(enum.StrEnum):
    """For whom a command prints: people or programs."""

    text = "text"
    json = "json"


class Failed(typer.Exit):
    """The command can't go on: the message says why and what to do, and `data` what it has to tell all the same."""

    def __init__(self, message: str, code: int, data: Mapping[str, object]) -> None:
        super().__init__(code)
        self.message, self.data = message, data


@dataclass(frozen=True)
class Console:
    """Prints to the user."""

    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only findings and errors.")] = False
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print timings and complete diffs.")] = False

    @property
    def for_people(self) -> bool:
        """Whether standard output is for people."""
        return True

    def result(self, text: str) -> None:
        """Print what was asked for, such as a finding."""
        if self.for_people:
            typer.echo(text)

    def done(self, text: str) -> None:
        """Print what was done; not with --quiet."""
        if not self.quiet:
            self.result(text)

    def diff(self, lines: list[str]) -> None:
        """Print a unified diff, in colour on a terminal."""
        colours = {"+": typer.colors.GREEN, "-": typer.colors.RED, "@": typer.colors.CYAN}
        for line in lines:
            self.result(paint(line, colours.get(line[:1]), sys.stdout.isatty()))

    def note(self, text: str) -> None:
        """Print a warning; not with --quiet."""
        if not self.quiet:
            typer.echo(paint(text, typer.colors.YELLOW, sys.stderr.isatty()), err=True)

    def detail(self, text: str) -> None:
        """Print a detail; only with --verbose."""
        if self.verbose:
            typer.echo(text, err=True)

    def failed(self, failure: Failed) -> None:
        """Say why the command can't go on."""
        typer.echo(f"{paint('kronos-mixin:', typer.colors.RED, sys.stderr.isatty())} {failure.message}", err=True)

    def confirm(self, question: str) -> None:
        """Exit unless the user says yes."""
        if not self.for_people:
            fail(_NO_ONE)
        try:
            if typer.confirm(question, err=True):
                return
        except typer.Abort:
            typer.echo(err=True)
            fail(_NO_ONE)
        fail("Nothing was changed.")

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


@dataclass(frozen=True)
class Reporter(Console):
    """Prints to the user or, with --format json, one object on one line of standard output for programs.

    It has `ok` (the exit code is 0), `error` (why the command could not go on, else null), `notes` (warnings), and
    what the command tells besides. Notes and errors go to standard error as well.
    """

    form: Annotated[Format, typer.Option("--format", help="json: one object, with ok, error, notes and results.")] = (
        Format.text
    )
    notes: list[str] = field(default_factory=list, init=False)

    @property
    def for_people(self) -> bool:
        """Whether standard output is for people."""
        return self.form is Format.text

    def note(self, text: str) -> None:
        """Print a warning, and keep it for programs."""
        self.notes.append(text)
        super().note(text)

    def failed(self, failure: Failed) -> None:
        """Say why the command can't go on, also to programs."""
        super().failed(failure)
        self.tell(failure.data, ok=False, error=failure.message)

    def end(self, data: Mapping[str, object], code: int = 0) -> None:
        """Tell programs `data`, and end with this exit code."""
        self.tell(data, ok=code == 0)
        if code:
            raise typer.Exit(code)

    def tell(self, data: Mapping[str, object], *, ok: bool, error: str | None = None) -> None:
        """Print one object, for programs."""
        if not self.for_people:
            typer.echo(json.dumps({"ok": ok, "error": error, "notes": self.notes, **data}))


def paint(text: str, colour: str | None, terminal: bool) -> str:
    """``text`` in ``colour`` on a terminal, unless NO_COLOR is set or the terminal has none."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return typer.style(text, fg=colour) if colour and terminal and not plain else text


def fail(message: str, code: int = FAILED, data: Mapping[str, object] | None = None) -> NoReturn:
    """End the command with a message, and with `data` for programs."""
    raise Failed(message, code, data or {})


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
