"""Commands whose options come in groups, as dataclasses, and whose mistakes programs can read."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand

from kronos_mixin.cli.console import Failed, Format, Reporter

_UsageError: Any = typer.BadParameter.__base__
"""Click's, of which Typer brings its own in newer versions."""


class Command(TyperCommand):
    """A command that tells programs, too, what is wrong with its command line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What is left of it once the options are read. Raises UsageError."""
        given = " ".join(args).replace("=", " ")
        try:
            return super().parse_args(ctx, args)
        except _UsageError as error:
            if "--format json" in given:
                Reporter(form=Format.json).tell({}, ok=False, error=error.format_message())
            raise


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Replace each dataclass among a command's parameters by its fields, which Typer understands.

    The one called `console` says why the command fails, if it does.
    """
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if dataclasses.is_dataclass(parameter.annotation)
    }
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        group = groups.get(name)
        own = inspect.signature(group, eval_str=True).parameters.values() if group else [parameter]
        parameters += [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        for name, group in groups.items():
            options = [field.name for field in dataclasses.fields(group) if field.init]
            given[name] = group(**{option: given.pop(option) for option in options})
        try:
            command(**given)
        except Failed as failure:
            given["console"].failed(failure)
            raise

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
