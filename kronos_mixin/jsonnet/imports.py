"""Finds what Jsonnet imports."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kronos_mixin.inputs import Inputs

_TEXTS = {".json", ".jsonnet", ".libsonnet"}
"""Engines would put a replacement character in place of what is no UTF-8."""


class Imports:
    """The import callback of Jsonnet's bindings: beside the file first, then in ``folders``, of which the last wins.

    Notes in ``inputs`` what it reads, and where it looks in vain: a file that appears there is a change, too.
    """

    def __init__(self, folders: Sequence[Path], inputs: Inputs | None = None) -> None:
        self._folders = [str(folder) for folder in reversed(folders)]
        self._inputs = inputs or Inputs()
        self._failure = ""

    def __call__(self, folder: str, name: str) -> tuple[str, bytes]:
        """The path and content of what a file in ``folder`` imports as ``name``. Raises RuntimeError."""
        for place in (folder, *self._folders):
            path = _path(place, name)
            self._inputs.note(path)
            try:
                content = path.read_bytes()
                if path.suffix in _TEXTS:
                    content.decode()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except UnicodeDecodeError as error:
                reason = f"{path}: is not UTF-8: {error.reason} at byte {error.start}"
                break
            except OSError as error:
                reason = f"{path}: {error.strerror}"
                break
            return str(path), content
        else:
            reason = "no match locally or in the Jsonnet library paths"
        self._failure = f'couldn\'t open import "{name}": {reason}'
        raise RuntimeError(self._failure)

    def told(self, error: RuntimeError | UnicodeDecodeError) -> str:
        """What an engine said of an error, in the same words for all.

        Each introduces the message of an import in its own way, and the binding to Go reads beyond its end: what
        follows, up to the trace, is arbitrary memory, and may be no text.
        """
        said = error.object.decode(errors="replace") if isinstance(error, UnicodeDecodeError) else str(error)
        if not self._failure:
            return said
        trace = said.partition(self._failure)[2].partition("\n\t")[2]
        return f"RUNTIME ERROR: {self._failure}\n\t{trace}"


def _path(folder: str, name: str) -> Path:
    """Where ``name`` leads from ``folder``, without its `..`: an engine loads a file again for each of its paths."""
    path = os.path.join(folder, name)  # noqa: PTH118 - Path has no normpath.
    plain = os.path.normpath(path)
    if plain != path and os.path.exists(path) and not os.path.samefile(path, plain):  # noqa: PTH110, PTH121
        return Path(path)  # There is a symbolic link before the `..`.
    return Path(plain)
