"""What Jsonnet gets from outside: external variables, and arguments for a mixin that is a function."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


class ExternalError(ValueError):
    """A variable or an argument is not given as jsonnet wants it."""


@dataclass(frozen=True, slots=True)
class Externals:
    """External variables and top-level arguments, as text and as Jsonnet code, by name."""

    ext_str: Mapping[str, str] = field(default_factory=dict)
    ext_code: Mapping[str, str] = field(default_factory=dict)
    tla_str: Mapping[str, str] = field(default_factory=dict)
    tla_code: Mapping[str, str] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, dict[str, str]]:
        """The external variables, as both of Jsonnet's bindings take them."""
        return {"ext_vars": dict(self.ext_str), "ext_codes": dict(self.ext_code)}

    @property
    def arguments(self) -> str:
        """The top-level arguments, as they stand in a call."""
        texts = {name: json.dumps(text) for name, text in self.tla_str.items()}
        codes = {name: f"({code})" for name, code in self.tla_code.items()}
        return ", ".join(f"{name}={value}" for name, value in {**texts, **codes}.items())


def parsed(option: str, given: Iterable[str]) -> dict[str, str]:
    """What was given to ``option``: NAME=VALUE, or NAME, which the environment has. Raises ExternalError."""
    found = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not name.isidentifier():
            raise ExternalError(f"{option} {one}: must be NAME=VALUE, or NAME of a variable of the environment")
        if not equals and name not in os.environ:
            raise ExternalError(
                f"{option} {one}: has no value, and the environment has no {name}: write {name}=VALUE"
            )
        found[name] = value if equals else os.environ[name]
    return found
