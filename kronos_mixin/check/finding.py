"""Findings of checks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem: the file, the rule or panel in it, and what is wrong."""

    file: str
    place: str
    message: str
    warning: bool = False
    """It need not be wrong, and does not fail the check."""

    def __str__(self) -> str:
        where = f"{self.file}: {self.place}" if self.place else self.file
        return f"{where}: {'warning: ' if self.warning else ''}{self.message}"
