"""docs/adding-a-metric.md, performed on a copy of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tests.docs.blocks import Block, blocks
from tests.docs.shell import Shell
from tests.service.server import ROOT

PAGE = ROOT / "docs" / "adding-a-metric.md"
MOST_FILES = 11


def test_the_walk(tmp_path: Path):
    copy = copy_of_the_checkout(tmp_path / "checkout")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    edited = set()
    with Shell(copy, {**os.environ, "PATH": path}) as shell:
        for block in blocks(PAGE):
            if (file := file_of(block)) is not None:
                edit(copy / file, block)
                edited.add(file)
            elif "fails" in block.flags:
                shell.follow([replace(block, text=f"! {block.text}")])
            else:
                shell.follow([block])
    assert len(edited) <= MOST_FILES


def copy_of_the_checkout(folder: Path) -> Path:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def file_of(block: Block) -> str | None:
    """The file that a block changes or holds, if any."""
    return next((flag.removeprefix("file=") for flag in block.flags if flag.startswith("file=")), None)


def edit(path: Path, block: Block) -> None:
    """Add the lines with a plus beside those without, which the file must have once."""
    if block.language != "diff":
        path.write_text(block.text)
        return
    lines = block.text.splitlines()
    old = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
    new = "".join(f"{line[1:]}\n" for line in lines)
    text = path.read_text()
    assert text.count(old) == 1, f"{block.where}: {path.name} does not have these lines once:\n{old}"
    path.write_text(text.replace(old, new))
