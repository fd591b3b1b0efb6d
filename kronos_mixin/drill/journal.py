"""What a drill has put where, written down before it does so: a drill that was killed is taken out by the next one.

The journal lies beside the configuration, as `.prometheus.yml.drill`, while anything of the drill may be there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kronos_mixin.merge.prometheusyml import MergeError


@dataclass(frozen=True)
class Journal:
    """One drill's traces."""

    config: str
    """The configuration, as the user named it."""
    rules: str
    """The folder of the rule files."""
    made: tuple[str, ...]
    """Folders that were not there before, the outermost first."""
    began: str
    """When the drill began, in UTC."""


def path_of(config: Path) -> Path:
    """Where the journal for a configuration is."""
    real = config.resolve()
    return real.with_name(f".{real.name}.drill")


def read(config: Path) -> Journal | None:
    """The journal of a drill that did not end; None if there is none.

    One that breaks off was being written: then nothing else had been.
    """
    try:
        data: dict[str, Any] = json.loads(path_of(config).read_text(encoding="utf-8"))
        return Journal(data["config"], data["rules"], tuple(data["made"]), data["began"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return Journal(str(config), "", (), "")


@contextlib.contextmanager
def held(journal: Journal) -> Iterator[None]:
    """Write a journal, and hold it for as long as the block lasts. Raises OSError, and MergeError if there is one."""
    path = path_of(Path(journal.config))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise MergeError(f"another drill has begun just now: {path}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        with contextlib.suppress(OSError):  # Not every file system has locks.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        json.dump(asdict(journal), file)
        file.flush()
        os.fsync(file.fileno())
        yield


def in_use(config: Path) -> bool:
    """Whether the drill that wrote the journal still runs, on this machine."""
    try:
        with path_of(config).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def forget(config: Path) -> None:
    """Remove the journal: nothing of the drill is left."""
    path_of(config).unlink(missing_ok=True)
