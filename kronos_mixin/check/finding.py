"""Findings of checks."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem: the file, the rule or panel in it, and what is wrong."""

    file: str
    place: str
    message: str
    warning: bool = False
    """It need not be wrong, and does not fail the check."""

    rule: str = ""
    """What a waiver would name, if there can be one."""

    def as_warning(self) -> Finding:
        """The same, as a warning."""
        return replace(self, warning=True)

    def __str__(self) -> str:
        rule = f" ({self.rule})" if self.rule else ""
        where = f"{self.file}: {self.place}" if self.place else self.file
        return f"{where}: {'warning: ' if self.warning else ''}{self.message}{rule}"
