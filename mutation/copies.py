"""Copies of the checkout, in which mistakes are made and judged."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from mutation.places import Mutant

_WRITTEN = ("mixin", "monitoring", "docs/design.md", "service/OBSERVABILITY.md")
"""What a mistake and the generated files may change."""


class Copy:
    """A copy of all files of the checkout that git knows or would know, below a folder."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.root = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=checkout,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in listed.stdout.split("\0"):
            if name and (checkout / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(checkout / name, folder / name)
        self._clean = self._content()

    def make(self, mutant: Mutant) -> None:
        """Make one mistake."""
        path = self.root / mutant.file
        path.write_text(mutant.applied(path.read_text(encoding="utf-8")), encoding="utf-8")

    def restore(self) -> None:
        """Make everything as it was."""
        now = self._content()
        for path in now.keys() - self._clean.keys():
            path.unlink()
        for path, content in self._clean.items():
            if now.get(path) != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    def _content(self) -> dict[Path, bytes]:
        paths = [self.root / name for name in _WRITTEN]
        files = [
            found for path in paths for found in ([path] if path.is_file() else path.rglob("*")) if found.is_file()
        ]
        return {path: path.read_bytes() for path in files}


class Judge:
    """A process in a copy that judges what is wrong with it: `python -m mutation.judge`."""

    def __init__(self, copy: Copy, *arguments: str | Path) -> None:
        paths = (copy.root, copy.root / "service", copy.root / "tests/mixin")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mutation.judge", *arguments],
            cwd=copy.root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def answer(self) -> dict[str, Any]:
        """Gate, words and CPU seconds, once it has ended. Ends what it may have left running."""
        answer, _ = self.process.communicate()
        self.end()
        return json.loads(answer or '{"gate": "trouble", "said": "the judge died", "seconds": 0}')  # type: ignore[no-any-return]

    def end(self) -> None:
        """End it, and all that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
