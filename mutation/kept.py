"""What became of each mistake, in a file, so that a run that was cut off can go on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from mutation.places import Mutant
from mutation.report import Found


def read(path: Path) -> Iterator[Found]:
    """What earlier runs found, the last word on each mistake."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    found = (json.loads(line) for line in lines)
    yield from {(one := Found(**{**data, "mutant": Mutant(**data["mutant"])})).mutant: one for data in found}.values()


def add(path: Path, found: Found) -> None:
    """Add one at the end, so that nothing is lost whenever the run ends."""
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(dataclasses.asdict(found)) + "\n")
