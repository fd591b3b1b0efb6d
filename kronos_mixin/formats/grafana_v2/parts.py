"""What dashboards, panels and variables of version 2 are put together from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]


def of_kind(kind: str, spec: Json) -> Json:
    """An object of version 2."""
    return {"kind": kind, "spec": spec}


def at(names: tuple[str, ...], number: Any) -> str:
    """The name of a number; of what is none, the first."""
    return names[int(number)] if isinstance(number, int) and 0 <= number < len(names) else names[0]


def query(source: Any, fields: Json, without: Iterable[str]) -> Json:
    """A query of a data source, with the ``fields`` that are not ``without``."""
    spec = {key: value for key, value in fields.items() if key not in without}
    return {"kind": "DataQuery", "version": "v0", **data_source(source), "spec": spec}


def data_source(source: Any) -> Json:
    """A reference to a data source by kind and name: a uid or a variable. Old ones are the name alone."""
    kind, name = (source.get("type"), source.get("uid")) if isinstance(source, dict) else (None, source)
    return {"group": kind or "prometheus", **({"datasource": {"name": name}} if name else {})}


def tell(data: Json, known: set[str], what: str, lost: list[str]) -> None:
    """Note in ``lost`` what some data has beyond what is ``known``."""
    lost.extend(
        f"{what} has {key}, which version 2 does not know" for key in sorted(data.keys() - known) if data[key]
    )
