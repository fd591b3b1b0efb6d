"""Kills a piece of work at a chosen change of the file system, and compares folders byte for byte."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "os.truncate", "shutil.rmtree"}


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that is killed right before its so many-th change of a file; whether it was."""
    child = os.fork()
    if child == 0:
        count = itertools.count(1)

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if (event in _CHANGES or writes) and next(count) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            work()
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def every_step(work: Callable[[], object], first: int = 1, stride: int = 1) -> Iterator[int]:
    """Kill the work at a change of a file, `stride` changes later, and so on, until it gets to its end."""
    for step in itertools.count(first, stride):
        if not killed_at(step, work):
            return
        yield step


def tree(folder: Path) -> dict[str, tuple[object, ...]]:
    """Kind, mode and content of everything below a folder."""
    return {
        path.relative_to(folder).as_posix(): (
            oct(path.lstat().st_mode),
            path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None,
        )
        for path in sorted(folder.rglob("*"))
    }
