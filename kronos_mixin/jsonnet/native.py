"""The native functions that mixtool and Tanka give to Jsonnet: `std.native('parseYaml')(text)`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import yaml

from kronos_mixin.yamltext import to_yaml


def parse_json(text: str) -> Any:
    """Data from JSON."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"parseJson: {error}") from None


def parse_yaml(text: str) -> list[Any]:
    """One item for each document of a YAML stream."""
    try:
        # Through JSON: Jsonnet has text keys only.
        documents: list[Any] = json.loads(json.dumps(list(yaml.load_all(text, _Loader))))
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise ValueError(f"parseYaml: {' '.join(str(error).split())}") from None
    return documents


def escape_regex(text: str) -> str:
    """`text` as a regular expression that matches it, with the escapes that Go writes."""
    return re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", text)


def regex_match(regex: str, text: str) -> bool:
    """Whether a regular expression matches somewhere in `text`."""
    return _compiled("regexMatch", regex).search(text) is not None


def regex_replace(regex: str, text: str, replacement: str) -> str:
    """`text` with every match replaced; `$1` and `${name}` stand for groups, `$$` for a dollar."""

    def group(found: re.Match[str], name: str) -> str:
        try:
            return found[int(name) if name.isdecimal() else name] or ""
        except IndexError:  # To Go, a group that does not exist is empty.
            return ""

    def replaced(found: re.Match[str]) -> str:
        return re.sub(
            r"\$(?:(\$)|(\w+)|\{(\w+)\})", lambda one: one[1] or group(found, one[2] or one[3]), replacement
        )

    return _compiled("regexSubst", regex).sub(replaced, text)


def json_from_json(text: str, indent: float) -> str:
    """JSON, indented."""
    return json.dumps(parse_json(text), indent=int(indent), ensure_ascii=False) + "\n"


def yaml_from_json(text: str) -> str:
    """YAML of the same data."""
    return to_yaml(parse_json(text))


def sha256(text: str) -> str:
    """The SHA-256 of `text`, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


FUNCTIONS: dict[str, tuple[tuple[str, ...], Callable[..., Any]]] = {
    "escapeStringRegex": (("s",), escape_regex),
    "manifestJsonFromJson": (("j", "i"), json_from_json),
    "manifestYamlFromJson": (("j",), yaml_from_json),
    "parseJson": (("j",), parse_json),
    "parseYaml": (("y",), parse_yaml),
    "regexMatch": (("r", "s"), regex_match),
    "regexSubst": (("r", "s", "t"), regex_replace),
    "sha256": (("s",), sha256),
}
"""Their parameters and what they do, by name, as Jsonnet's bindings want it.

The C++ binding reads the names of parameters after Python may have freed them, but for those of a single character,
which Python keeps.
"""


def _compiled(function: str, regex: str) -> re.Pattern[str]:
    try:
        return re.compile(regex.replace(r"\z", r"\Z"))
    except re.error as error:
        raise ValueError(f"{function}: {regex!r} is no regular expression: {error}") from None


class _Loader(yaml.SafeLoader):
    """Reads times and words such as `yes` as text, as Go does."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, regex) for tag, regex in resolvers if not tag.endswith((":timestamp", ":bool"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
