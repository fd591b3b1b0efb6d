"""A mixin with its configuration, as a program for one of the implementations of Jsonnet."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kronos_mixin.config import Config, overlays
from kronos_mixin.inputs import Inputs
from kronos_mixin.jsonnet import trace
from kronos_mixin.jsonnet.engines import Choice, Engine, EngineError, JsonnetError, engine
from kronos_mixin.jsonnet.externals import Externals
from kronos_mixin.jsonnet.imports import Imports
from kronos_mixin.jsonnet.inline import inlined
from kronos_mixin.jsonnet.mixin import CompileError, is_ours

# How a message begins that is about the whole mixin: its arguments, if it is a function, or what it holds.
_WHOLE = re.compile(r"function has no parameter|missing argument|couldn't manifest function")


@dataclass(frozen=True, slots=True)
class Program:
    """A mixin, and all that its evaluation depends on."""

    file: Path
    configs: Sequence[Config]
    jpath: Sequence[Path]
    inputs: Inputs
    externals: Externals
    engine: Engine

    @property
    def ours(self) -> bool:
        """Whether it is the Kronos mixin itself."""
        return is_ours(self.file)

    @property
    def _import(self) -> str:
        return f"import {json.dumps(self.file.name)}"

    @property
    def base(self) -> str:
        """Jsonnet for the mixin without configuration."""
        wrong = f"{self.file}: is no object but of the type %s, and has no dashboards, alerts or rules"
        return f"""(
            local loaded = {self._import};
            local value = if std.isFunction(loaded) then loaded({self.externals.arguments}) else loaded;
            if std.isObject(value) then value else error {json.dumps(wrong)} % std.type(value)
        )"""

    @property
    def overlays(self) -> str:
        """Jsonnet that lays the configuration over the mixin."""
        return overlays(self.configs, self.ours)

    def evaluate(self, snippet: str) -> Any:
        """The data that ``snippet`` gives, which may read the mixin's files by relative paths."""
        missing = [path for path in self.jpath if not path.is_dir()]
        if missing:
            raise CompileError(f"{missing[0]}: is no folder, but given as a library path")
        paths = _library_path(self.file, self.jpath, self.inputs)
        # The name decides where relative imports start. No such file exists.
        name, variables = str(self.file.parent / trace.SNIPPET), self.externals.variables
        if self.ours and self.engine.choice is Choice.CPP:
            whole = inlined(self.file, Imports(paths, self.inputs))
            # If that fails, the files by themselves tell where.
            with contextlib.suppress(JsonnetError):
                moved = snippet.replace(self._import, whole or self._import, 1)
                return self.engine.evaluate(name, moved, Imports(paths, self.inputs), variables)
        try:
            return self.engine.evaluate(name, snippet, Imports(paths, self.inputs), variables)
        except JsonnetError as error:
            told = trace.parsed(str(error), paths)
        if told.steps and not told.own:
            # Go does not tell from where in the user's code a library was asked for what is only now evaluated.
            with contextlib.suppress(EngineError):
                try:
                    engine(Choice.CPP).evaluate(name, snippet, Imports(paths, self.inputs), variables)
                except JsonnetError as error:
                    told = trace.parsed(str(error), paths)
        raise CompileError(f"{self.file}: {told}" if not told.frames and _WHOLE.match(told.reason) else str(told))


def _library_path(file: Path, jpath: Sequence[Path], inputs: Inputs) -> list[Path]:
    """Where imports are searched, the last folder first: vendor folders of here and around the mixin, ``jpath``."""
    folder = file.resolve().parent
    # A mixin that lies in a vendor folder finds its neighbours there; one that brought its own finds those first.
    around = [
        parent if parent.name == "vendor" else parent / "vendor" for parent in reversed([folder, *folder.parents])
    ]
    found = [Path("vendor"), *around, *jpath]
    for path in found:
        inputs.note(path)
    return [path for path in dict.fromkeys(found) if path.is_dir()]
