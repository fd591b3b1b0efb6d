"""Makes a planned change: all of its files or none, and only if a running Prometheus accepts it."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

from kronos_mixin.files import Transaction, sweep
from kronos_mixin.merge.plan import FOLDER, Plan, read
from kronos_mixin.merge.prometheusyml import MergeError
from kronos_mixin.merge.reload import Reload, ReloadError

KEPT = 5
"""How many backups of a configuration are kept."""


def apply(plan: Plan, reload: Reload | None = None) -> Path | None:
    """Make the change: all files, or none; returns the backup of the configuration, if that changed.

    The newest KEPT backups stay, older ones are removed. With ``reload``, Prometheus is told to read it; if it
    refuses, everything is put back, and read again. Raises OSError, MergeError if the configuration has been changed
    since the plan was made, and ReloadError.
    """
    backup = None
    sweep(plan.config.resolve(), backups=True)
    with Transaction() as transaction:
        for path, text in plan.rule_files.items():
            transaction.write(path, text.encode())
        if plan.new != plan.old:
            backup = _backup_name(plan.config)
            transaction.write(backup, plan.old.encode(), like=plan.config)
            transaction.write(plan.config, plan.new.encode())
        for path in plan.obsolete:
            transaction.remove(path)
        if read(plan.config) != plan.old:
            raise MergeError("was changed by somebody else just now: run this again")
        transaction.commit()
        if reload is not None:
            _reload(transaction, reload)
    if backup is not None:
        _prune(backup)
    for folder in {path.parent for path in plan.obsolete if path.parent.name == FOLDER}:
        if not any(folder.iterdir()):
            folder.rmdir()
    return backup


def _reload(transaction: Transaction, reload: Reload) -> None:
    try:
        reload()
    except BaseException as error:
        transaction.undo()
        try:
            reload()
        except ReloadError as again:
            after = "everything was put back as it was, but it does not read that either"
            if str(again) != str(error):
                after += f": {again}"
        else:
            after = "everything was put back as it was, and it has read that again"
        if isinstance(error, ReloadError):
            raise ReloadError(f"{error}; {after}") from None
        raise


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
