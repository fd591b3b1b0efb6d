"""The data of a prometheus.yml, exactly as it is written, and what a Prometheus configuration may hold."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import yaml

# The same language from both; libyaml is there wherever PyYAML was installed from a wheel.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

LISTS = ("rule_files", "scrape_configs")
"""What we add to."""

KEYS = frozenset(
    {
        *LISTS,
        *("alerting", "global", "otlp", "remote_read", "remote_write", "runtime", "scrape_config_files", "storage"),
        "tracing",
    }
)
"""What the top level of a Prometheus configuration may hold."""

_MAP, _LIST = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
"""How YAML writes nothing."""

Tree = tuple[Any, ...]
"""A document as comparable data: tags and scalars as written, so that nothing is lost."""


class MergeError(Exception):
    """The file can't be changed safely. The message says why, and what to do."""


def tree(text: str) -> dict[str, Any]:
    """The data of the root mapping by key. Raises MergeError for what Prometheus would not read: a key twice."""
    return dict(_root(text, LOADER))


@functools.lru_cache(maxsize=8)
def _root(text: str, loader: Any) -> dict[str, Any]:
    try:
        node = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        raise MergeError(parse_error(error)) from None
    if node is None:
        return {}
    try:
        root = _tree(node, {})
    except RecursionError:
        raise MergeError("is nested too deeply") from None
    if root[0] == "scalar" and root[2] == "":
        return {}
    if root[0] != "map":
        raise MergeError("is not a Prometheus configuration: its top level is not a mapping")
    return {key[2] if key[0] == "scalar" else str(key): value for key, value in root[2].items()}


def unknown(data: Mapping[str, Any]) -> list[str]:
    """The keys of a configuration that this program does not know of Prometheus."""
    return sorted(data.keys() - KEYS - {"<<"})


def refuse_others(data: Mapping[str, Any]) -> None:
    """Raise MergeError for a file that is another program's: none of its keys is one that only Prometheus has."""
    if (others := unknown(data)) and not data.keys() & (KEYS - {"global"}):
        raise MergeError(f"is not a Prometheus configuration: it has {', '.join(others)}")


def is_agents(data: Mapping[str, Any]) -> bool:
    """Whether a configuration has what an agent must have, and nothing that an agent must not have."""
    return bool(data.get("remote_write")) and not data.keys() & {"rule_files", "alerting", "remote_read"}


def plain(value: Any) -> Tree:
    """Python data as a Tree; what has a ``tree`` is that."""
    if isinstance(value, Mapping):
        return "map", _MAP, {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return "list", _LIST, [plain(item) for item in value]
    tree: Tree | None = getattr(value, "tree", None)
    return from_node(yaml.compose(yaml.safe_dump(value), Loader=LOADER)) if tree is None else tree


def from_node(node: Any) -> Tree:
    """A composed node as a Tree. Raises MergeError for what Prometheus would not read."""
    return _tree(node, {})


def to_data(value: Tree) -> Any:
    """A Tree as Python data, with every scalar as text."""
    if value[0] == "map":
        return {key[2] if key[0] == "scalar" else str(key): to_data(item) for key, item in value[2].items()}
    return [to_data(item) for item in value[2]] if value[0] == "list" else value[2]


def line_number(text: str, index: int) -> int:
    """The number of the line that holds the character at ``index``, from 1."""
    return text.count("\n", 0, index) + 1


def parse_error(error: yaml.YAMLError) -> str:
    """What a parser says, with its line."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    if "another document" in problem and mark is not None:
        return f"line {mark.line + 1}: begins a second YAML document, which Prometheus does not read"
    return f"line {mark.line + 1}: is not YAML: {problem}" if mark is not None else f"is not YAML: {problem}"


def _tree(node: Any, seen: dict[int, Tree | None]) -> Tree:
    if id(node) in seen:
        known = seen[id(node)]
        if known is None:
            raise MergeError("has a YAML alias that contains itself")
        return known
    seen[id(node)] = None
    if isinstance(node, yaml.ScalarNode):
        result: Tree = ("scalar", node.tag, node.value)
    elif isinstance(node, yaml.SequenceNode):
        result = ("list", node.tag, [_tree(item, seen) for item in node.value])
    else:
        items: dict[Tree, Tree] = {}
        for key, value in node.value:
            name = _tree(key, seen)
            if name[0] != "scalar":
                raise MergeError(f"line {key.start_mark.line + 1}: has a key that is not plain text")
            if name in items:
                line = key.start_mark.line + 1
                raise MergeError(f"line {line}: has {name[2]} twice, which Prometheus refuses")
            items[name] = _tree(value, seen)
        result = ("map", node.tag, items)
    seen[id(node)] = result
    return result
