"""Makes a planned change: all of its files or none, and only if a running Prometheus accepts it."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Sequence
from pathlib import Path

from kronos_mixin.files import Transaction, sweep
from kronos_mixin.merge.plan import FOLDER, Plan, read
from kronos_mixin.merge.prometheusyml import MergeError
from kronos_mixin.merge.reload import Reload, ReloadError

KEPT = 5
"""How many backups of a configuration are kept."""


def apply(plan: Plan, servers: Sequence[Reload] = (), *, traceless: bool = False) -> Path | None:
    """Make the change: all files, or none; returns the backup of the configuration, if that changed.

    The newest KEPT backups stay, older ones are removed; a ``traceless`` change makes none, and leaves empty folders.
    Each of ``servers`` is told to read it; if one refuses, everything is put back, and read again. Raises OSError,
    MergeError if the configuration has been changed since the plan was made, ReloadError, and UndoError if not
    everything could be put back.
    """
    backup = None
    sweep(plan.config.resolve().parent)
    with Transaction(plan.patterns.see) as transaction:
        for path, text in plan.rule_files.items():
            transaction.write(path, text.encode(), like=plan.config)
        if plan.new != plan.old:
            if not traceless:
                backup = _backup_name(plan.config)
                transaction.write(backup, plan.old.encode(), like=plan.config)
            transaction.write(plan.config, plan.new.encode())
        for path in plan.obsolete:
            transaction.remove(path)
        if read(plan.config) != plan.old:
            raise MergeError("was changed by somebody else just now: run this again")
        transaction.commit()
        _reload(transaction, servers)
    if backup is not None:
        _prune(backup)
    for folder in {path.parent for path in plan.obsolete if path.parent.name == FOLDER and not traceless}:
        if not any(folder.iterdir()):
            folder.rmdir()
    return backup


def _reload(transaction: Transaction, servers: Sequence[Reload]) -> None:
    try:
        refused = [error for server in servers if (error := _refusal(server))]
        if refused:
            raise ReloadError("\n".join(refused))
    except BaseException as error:
        transaction.undo()
        after = [_after(server, str(error)) for server in servers]
        if isinstance(error, ReloadError):
            raise ReloadError("; ".join([f"{error}\nEverything was put back as it was", *after])) from None
        raise


def _refusal(server: Reload) -> str:
    """Have a server read its configuration; returns why it does not, empty if it does."""
    try:
        server()
    except ReloadError as error:
        return str(error)
    return ""


def _after(server: Reload, before: str) -> str:
    """Have a server read what was put back; returns what it said, unless it had said so before."""
    refusal = _refusal(server)
    if not refusal:
        return f"{server} has read that again"
    return f"{server} does not read that either" + ("" if refusal in before else f": {refusal}")


def _prune(newest: Path) -> None:
    """Remove old backups: files beside the newest one, of a name that only this program makes."""
    config = newest.name.removesuffix(".bak").rpartition(".")[0]
    ours = re.compile(re.escape(config) + r"\.(\d{8}T\d{6})(?:-(\d+))?\.bak")
    found = [(match, path) for path in newest.parent.iterdir() if (match := ours.fullmatch(path.name))]
    for _, path in sorted(found, key=lambda item: (item[0][1], int(item[0][2] or 0)))[:-KEPT]:
        if path.is_file() and not path.is_symlink():
            with contextlib.suppress(OSError):  # The change itself is made.
                path.unlink()


def _backup_name(config: Path) -> Path:
    real = config.resolve()
    stamp = time.strftime("%Y%m%dT%H%M%S")
    names = (real.with_name(f"{real.name}.{stamp}{extra}.bak") for extra in ("", *(f"-{n}" for n in range(1, 1000))))
    return next(name for name in names if not name.exists())
