"""The implementations of Jsonnet: in C++, which needs nothing else, and in Go, which is several times as fast."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import Any

from kronos_mixin.jsonnet.imports import Imports
from kronos_mixin.jsonnet.native import FUNCTIONS


class Choice(StrEnum):
    """Which implementation to use."""

    AUTO = "auto"
    CPP = "c++"
    GO = "go"


VARIABLE = "KRONOS_MIXIN_ENGINE"
"""The environment's choice, where the command line makes none."""

_MODULES = {Choice.GO: "_gojsonnet", Choice.CPP: "_jsonnet"}
_PACKAGES = {Choice.GO: "gojsonnet", Choice.CPP: "jsonnet"}


# The trace of a deep recursion would otherwise end before it gets to the user's own files.
_OPTIONS = {"max_trace": 100}

_NO_DATA = "RUNTIME ERROR: couldn't manifest function in JSON output."
"""What C++ says of a function in the output, with the place of the function. Go says where in the output it is."""
_AS_GO_SAYS = """
    local steps(value) =
      if std.isFunction(value) then [[]]
      else if std.isObject(value) then
        [found + ['Field "' + key + '"'] for key in std.objectFields(value) for found in steps(value[key])]
      else if std.isArray(value) then
        [found + ['Array element ' + i] for i in std.range(0, std.length(value) - 1) for found in steps(value[i])]
      else [];
    { said: std.join('\\n\\t', ["RUNTIME ERROR: couldn't manifest function as JSON"] + steps((%s))[0]) }
"""


class EngineError(Exception):
    """There is no such implementation here."""


class JsonnetError(Exception):
    """What an implementation says of a program that it can't evaluate, with its trace."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One implementation."""

    choice: Choice
    _module: ModuleType

    def evaluate(self, name: str, snippet: str, imports: Imports, variables: Mapping[str, Any]) -> Any:
        """The data that a snippet gives; ``name`` stands for its file. Raises JsonnetError."""
        natives = _Natives()
        try:
            text = self._module.evaluate_snippet(
                name, snippet, import_callback=imports, native_callbacks=natives.functions, **variables, **_OPTIONS
            )
        except (RuntimeError, UnicodeDecodeError) as error:
            said = natives.told(imports.told(error))
        else:
            return json.loads(text)
        if said.startswith(_NO_DATA):
            with contextlib.suppress(JsonnetError):
                said = self.evaluate(name, _AS_GO_SAYS % snippet, imports, variables)["said"]
        raise JsonnetError(said)


class _Natives:
    """The native functions, with the reason why one of them failed: Go does not pass it on."""

    def __init__(self) -> None:
        self.functions = {name: (names, self._noting(function)) for name, (names, function) in FUNCTIONS.items()}
        self._reason = ""

    def _noting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except Exception as error:
                self._reason = str(error)
                raise

        return call

    def told(self, said: str) -> str:
        """What an implementation said, with that reason."""
        return said.replace("failed to execute native callback, code: 0", self._reason) if self._reason else said


def engine(choice: Choice | None = None) -> Engine:
    """The chosen implementation; by default the environment's choice, or the quickest of those that are installed.

    Raises EngineError if it is not installed.
    """
    choice = choice or _from_environment()
    wanted = list(_MODULES) if choice is Choice.AUTO else [choice]
    for one in wanted:
        try:
            return Engine(one, importlib.import_module(_MODULES[one]))
        except ImportError:
            continue
    if choice is Choice.AUTO:
        raise EngineError("there is no Jsonnet here: pip install jsonnet, or gojsonnet where that has no wheel")
    raise EngineError(f"--engine {choice}: is not installed: pip install {_PACKAGES[choice]}")


def _from_environment() -> Choice:
    given = os.environ.get(VARIABLE) or Choice.AUTO
    try:
        return Choice(given)
    except ValueError:
        raise EngineError(f"{VARIABLE}={given}: must be {', '.join(Choice)}") from None
