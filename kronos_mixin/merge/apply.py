"""Makes a planned change: all of its files, or none, and as a running Prometheus takes it."""

from __future__ import annotations

import time
from pathlib import Path

from kronos_mixin.files import Transaction, sweep
from kronos_mixin.merge.plan import FOLDER, Plan, read
from kronos_mixin.merge.prometheusyml import Refused
from kronos_mixin.merge.reload import Reload, ReloadFailed


def apply(plan: Plan, reload: Reload | None = None) -> Path | None:
    """Make the change: all files, or none; returns the backup of the configuration, if that changed.

    With ``reload``, Prometheus is told to read it; if it refuses, everything is put back, and read again. Raises
    OSError, Refused if the configuration has been changed since the plan was made, and ReloadFailed.
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
            raise Refused("was changed by somebody else just now: run this again")
        transaction.commit()
        if reload is not None:
            _reload(transaction, reload)
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
        except ReloadFailed as again:
            after = f"everything was put back as it was, but it does not read that either: {again}"
        else:
            after = "everything was put back as it was, and it has read that again"
        if isinstance(error, ReloadFailed):
            raise ReloadFailed(f"{error}; {after}") from None
        raise


def _backup_name(config: Path) -> Path:
    real = config.resolve()
    stamp = time.strftime("%Y%m%dT%H%M%S")
    names = (real.with_name(f"{real.name}.{stamp}{extra}.bak") for extra in ("", *(f"-{n}" for n in range(1, 1000))))
    return next(name for name in names if not name.exists())
