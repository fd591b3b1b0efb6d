"""An interactive shell, and a reader who pastes the blocks of a page into it."""

from __future__ import annotations

import doctest
import os
import pty
import selectors
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from tests.docs.blocks import Block

_BLOCK_SECONDS = 180
_END = "end-of-block"
_COMPARED = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Shell:
    """Bash with job control on a terminal of its own.

    Only its standard output is a pipe, so that what a block prints can be told from prompts, job notices and errors.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._path = environment["PATH"]
        self._keyboard, terminal = pty.openpty()
        self._printed, printing = os.pipe()
        self._process = subprocess.Popen(
            # Without a controlling terminal there is no job control.
            ["setsid", "--ctty", "bash", "--noprofile", "--norc", "--noediting", "-i"],
            cwd=folder,
            env={**environment, "HISTFILE": "", "PS1": "$ ", "PS2": "> "},
            stdin=terminal,
            stdout=printing,
            stderr=terminal,
        )
        os.close(terminal)
        os.close(printing)
        self._seen = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        shell = psutil.Process(self._process.pid)
        for process in (*shell.children(recursive=True), shell):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        os.close(self._keyboard)
        os.close(self._printed)

    def follow(self, blocks: Iterable[Block]) -> None:
        """Paste what is to be run, and compare what it prints with what the page says."""
        for block in blocks:
            if not block.runs or (block.needs and shutil.which(block.needs, path=self._path) is None):
                continue
            printed = self.paste(block.text, block.where)
            if block.output is not None:
                matches = doctest.OutputChecker().check_output(block.output, printed, _COMPARED)
                assert matches, f"{block.where} prints something else:\n{block.output}\n{printed}\n{self._screen()}"

    def paste(self, text: str, where: str = "pasted by the test") -> str:
        """Run commands; what they printed once the last one has ended, which must have succeeded."""
        os.write(self._keyboard, f"{text.rstrip()}\nprintf '\\n%s %s\\n' {_END} $?\n".encode())
        end = f"\n{_END} ".encode()
        deadline = time.monotonic() + _BLOCK_SECONDS
        printed = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._printed, selectors.EVENT_READ, printed)
            selector.register(self._keyboard, selectors.EVENT_READ, self._seen)
            while not (end in printed and printed.endswith(b"\n")):
                for key, _ in selector.select(deadline - time.monotonic()):
                    key.data.extend(os.read(key.fd, 65536))
                assert time.monotonic() < deadline, f"{where} does not end:\n{printed.decode()}\n{self._screen()}"
        output, _, status = printed.decode().rpartition(end.decode())
        assert status.strip() == "0", f"{where} ended with {status}:\n{output}\n{self._screen()}"
        return output

    def _screen(self) -> str:
        """The last things on the terminal: commands, prompts, job notices and errors."""
        return f"The terminal:\n{self._seen.decode(errors='replace')[-4000:]}"
