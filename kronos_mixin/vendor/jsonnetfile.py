"""Reads and writes jsonnetfile.json and jsonnetfile.lock.json, which have the same form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kronos_mixin.vendor.errors import VendorError
from kronos_mixin.vendor.source import Git, Local, Source

FILE, LOCK = "jsonnetfile.json", "jsonnetfile.lock.json"


@dataclass(frozen=True, slots=True)
class Dependency:
    """A package, as it is asked for or as it is locked."""

    source: Source
    version: str = ""
    """A tag, branch or commit; in a lock, the commit. Empty for a local folder."""
    sum: str = ""
    """In a lock, over the contents of all files."""
    single: bool = False
    """Without what it depends on itself."""
    alias: str = ""
    """Another name for the link in vendor/, `name` in the file."""

    @property
    def name(self) -> str:
        """The folder below vendor/, by which packages are told apart."""
        return self.source.name

    @property
    def link(self) -> str:
        """The short name that vendor/ has a link by; empty for a local folder, which has one anyway."""
        return self.alias or self.source.alias if isinstance(self.source, Git) else ""

    @property
    def data(self) -> dict[str, Any]:
        """As in the file."""
        name = "" if self.alias == self.source.alias else self.alias
        optional = {"sum": self.sum, "single": self.single, "name": name}
        given = {key: value for key, value in optional.items() if value}
        return {"source": self.source.data, "version": self.version, **given}


@dataclass(frozen=True, slots=True)
class Jsonnetfile:
    """One of the two files."""

    dependencies: Mapping[str, Dependency] = field(default_factory=dict)
    """By their names, in the order of the file."""
    legacy_imports: bool = True
    """Whether packages are linked by short names, too."""

    @classmethod
    def read(cls, path: Path, folder: Path) -> Jsonnetfile | None:
        """The file at ``path``, None if there is none; ``folder`` is the one that packages are installed for.

        Raises VendorError.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise VendorError(f"{path}: is not UTF-8: {error}") from None
        try:
            data = json.loads(text) if text.strip() else {}
        except ValueError as error:
            raise VendorError(f"{path}: is not JSON: {error}") from None
        listed = data.get("dependencies") or [] if isinstance(data, dict) else None
        if not isinstance(listed, list):
            raise VendorError(f"{path}: is not a jsonnetfile with a list of dependencies")
        # Version 0 differs in that every entry has a name.
        if data.get("version", 0) not in {0, 1}:
            raise VendorError(f"{path}: has version {data['version']}, which this program does not know")
        found = {}
        for number, entry in enumerate(listed):
            try:
                dependency = _dependency(entry, folder)
            except (VendorError, KeyError, TypeError, AttributeError) as error:
                why = error if isinstance(error, VendorError) else "has no source with git and remote, or local"
                raise VendorError(f"{path}: dependencies[{number}]: {why}") from None
            found[dependency.name] = dependency
        return cls(found, bool(data.get("legacyImports", True)))

    def content(self) -> bytes:
        """The bytes that jb would write."""
        entries = sorted(self.dependencies.values(), key=lambda entry: entry.name.encode())
        data = {
            "version": 1,
            "dependencies": [entry.data for entry in entries],
            "legacyImports": self.legacy_imports,
        }
        text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
        return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").encode()


def _dependency(entry: Mapping[str, Any], folder: Path) -> Dependency:
    source, alias = entry["source"], str(entry.get("name") or "")
    if alias in {".", ".."} or "/" in alias or "\\" in alias:
        raise VendorError(f"name {alias}: is no plain name of a link in vendor/")
    if git := source.get("git"):
        origin: Source = Git.of(str(git["remote"]), str(git.get("subdir") or ""))
    else:
        origin = Local.of(str(source["local"]["directory"]), folder)
    version, digest = (str(entry.get(key) or "") for key in ("version", "sum"))
    return Dependency(origin, version, digest, bool(entry.get("single")), alias)
