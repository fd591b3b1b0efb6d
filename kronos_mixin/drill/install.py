"""Puts a drill into a configuration, and takes it out again, however it ends."""

from __future__ import annotations

import contextlib
import datetime
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kronos_mixin.compile import rule_file_names
from kronos_mixin.connect import Connection
from kronos_mixin.drill import journal
from kronos_mixin.drill.environment import NAME, Environment
from kronos_mixin.drill.journal import Journal
from kronos_mixin.files import sweep
from kronos_mixin.merge import loaded
from kronos_mixin.merge.apply import apply
from kronos_mixin.merge.blocks import blocks
from kronos_mixin.merge.patterns import Patterns
from kronos_mixin.merge.placed import placed
from kronos_mixin.merge.plan import FOLDER, Plan, plan_merge, plan_unmerge, read, without_dots
from kronos_mixin.merge.prometheusyml import MergeError, to_data, tree
from kronos_mixin.merge.reload import Reload, ReloadError

_ATTEMPTS = 5
"""How often the drill is taken out anew where somebody else changes the file at the same moment."""

_SOON = 30.0
"""Seconds within which a Prometheus that was told to reload must run what was written."""


class Reloader(Reload):
    """Reloads by a command where one is given, such as `systemctl reload prometheus`."""

    def __init__(self, connection: Connection, command: str | None = None) -> None:
        super().__init__(connection)
        self.command = command

    def __call__(self) -> None:
        """Reload. Raises ReloadError."""
        if self.command is None:
            super().__call__()
            return
        done = subprocess.run(self.command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
        if done.returncode:
            said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
            raise ReloadError(f"`{self.command}` failed: {said}")


@dataclass(frozen=True)
class Place:
    """A configuration, the folder for rule files beside it, and the Prometheus that reads both."""

    config: Path
    rules: Path
    server: Reloader

    @classmethod
    def of(cls, config: Path, server: Reloader, rules: Path | None = None) -> Place:
        """By default, rule files go where those of the installation are: the server can read them there.

        Raises MergeError.
        """
        return cls(config, without_dots(rules) if rules else _folder(config), server)

    def plan(self, environment: Environment, job: Mapping[str, Any]) -> Plan:
        """What a drill would change. Raises MergeError."""
        return plan_merge(self.config, environment.mixin, [job], self.rules, scrape_only=False)


def _folder(config: Path) -> Path:
    """Where merge has put rule files of this program, or would put them."""
    text = read(config)
    patterns = Patterns.of(config, to_data(tree(text).get("rule_files", ("list", "", []))))
    for name in dict.fromkeys(["kronos", *(block.name for block in blocks(text))]):
        if found := placed(patterns, name):
            return without_dots(found[0].parent)
    return without_dots(config.parent) / FOLDER


@contextlib.contextmanager
def installed(place: Place, plan: Plan) -> Iterator[None]:
    """Make the change for as long as the block lasts. Raises MergeError, ReloadError, UndoError and OSError.

    Afterwards the configuration is as it was, but for what others have changed meanwhile; signals wait for that.
    """
    folders = [folder for folder in (place.rules, *place.rules.parents) if not folder.exists()]
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    traces = Journal(str(place.config), str(place.rules), tuple(map(str, reversed(folders))), now)
    with journal.held(traces):
        try:
            apply(plan, [place.server], traceless=True)
            _prove(place, plan)
            yield
        finally:
            with undisturbed():
                take_out(place, traces)


def left_over(place: Place) -> Journal | None:
    """The traces of a drill that did not end; None if there are none. Raises MergeError if it still runs."""
    if journal.in_use(place.config):
        raise MergeError("a drill is under way here: wait for its end, or end it (Ctrl-C takes it out)")
    # Killed before it began, it may have left a file that promtool was to check.
    for folder in {place.config.absolute().parent, place.config.resolve().parent}:
        sweep(folder)
    if traces := journal.read(place.config):
        return traces
    there = any(block.name == NAME for block in blocks(read(place.config)))
    return Journal(str(place.config), str(place.rules), (), "") if there else None


def take_out(place: Place, traces: Journal) -> None:
    """Remove all that a drill has put anywhere, and see that Prometheus runs nothing of it any more.

    Raises MergeError, ReloadError, UndoError and OSError; the journal then stays, for another try.
    """
    rules = Path(traces.rules) if traces.rules else place.rules
    for folder in (place.config.resolve().parent, rules):
        if folder.is_dir():
            sweep(folder)
    plan = _removed(place, rules)
    for made in reversed(traces.made):
        with contextlib.suppress(OSError):  # Others have put something there.
            Path(made).rmdir()
    try:
        place.server()
    except ReloadError as error:
        if _runs(place):
            raise ReloadError(
                f"{error}\nThe files are as they were before the drill, but Prometheus still runs its rules, whose "
                "alerts end by themselves: reload it, then run this with --clean"
            ) from None
    else:
        _prove(place, plan)
    journal.forget(place.config)


def _removed(place: Place, rules: Path) -> Plan:
    for attempt in range(1, _ATTEMPTS + 1):
        plan = plan_unmerge(place.config, NAME, rules)
        try:
            apply(plan, traceless=True)
            break
        except MergeError:
            if attempt == _ATTEMPTS or read(place.config) == plan.old:
                raise
    return plan


def _prove(place: Place, plan: Plan) -> None:
    """Raise ReloadError if Prometheus does not run what was written; a reload by a command may take a while."""
    deadline = time.monotonic() + _SOON
    while wrong := loaded.missing(plan, place.server):
        if place.server.command is None or time.monotonic() > deadline:
            raise ReloadError(f"The Prometheus at {place.server} was reloaded, but " + ";\n  ".join(wrong) + ".")
        time.sleep(0.5)


def _runs(place: Place) -> bool:
    """Whether Prometheus says that it has rules of a drill."""
    groups = place.server.groups() or []
    return any(Path(str(group.get("file"))).name in rule_file_names(NAME) for group in groups)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal that asks us to end interrupt this; it takes seconds. Only where signals can be held at all."""
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    try:
        before = {name: signal.signal(getattr(signal, name), signal.SIG_IGN) for name in names}
    except ValueError:  # Not the main thread, which alone hears signals.
        yield
        return
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
