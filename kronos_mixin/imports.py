"""Finds what Jsonnet imports."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kronos_mixin.inputs import Inputs


class Imports:
    """The import callback of Jsonnet's bindings: beside the file first, then in ``folders``, of which the last wins.

    Notes in ``inputs`` what it reads, and where it looks in vain: a file that appears there is a change, too.
    """

    def __init__(self, folders: Sequence[Path], inputs: Inputs | None = None) -> None:
        self._folders = [str(folder) for folder in reversed(folders)]
        self._inputs = inputs or Inputs()

    def __call__(self, folder: str, name: str) -> tuple[str, bytes]:
        """The path and content of what a file in ``folder`` imports as ``name``. Raises RuntimeError."""
        for place in (folder, *self._folders):
            path = _path(place, name)
            self._inputs.note(path)
            try:
                return str(path), path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise RuntimeError(f'couldn\'t open import "{name}": {path}: {error.strerror}') from None
        raise RuntimeError(f'couldn\'t open import "{name}": no match locally or in the Jsonnet library paths')


def _path(folder: str, name: str) -> Path:
    """Where ``name`` leads from ``folder``, without its `..`: an engine loads a file again for each of its paths."""
    path = os.path.join(folder, name)  # noqa: PTH118 - Path has no normpath.
    plain = os.path.normpath(path)
    if plain != path and os.path.exists(path) and not os.path.samefile(path, plain):  # noqa: PTH110, PTH121
        return Path(path)  # There is a symbolic link before the `..`.
    return Path(plain)
