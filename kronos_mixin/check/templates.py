"""Checks the Go templates in an alert's labels and annotations, as far as possible without expanding them.

Prometheus finds mistakes in them only when the alert fires, and then replaces the text with an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_ACTION = re.compile(r"{{-?\s*(.*?)\s*-?}}", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`')
# A function stands alone; what follows a dot or a dollar is a field or a variable.
_WORD = re.compile(r"(?<![\w.$])[A-Za-z_]\w*")
_DOLLAR = re.compile(r"\$\w+")

_OPENS = {"if", "range", "with"}
_KEYWORDS = _OPENS | {"else", "end", "break", "continue", "nil", "true", "false"}
# Too many for a line each.
# fmt: off
_GO = {
    "and", "call", "html", "index", "slice", "js", "len", "not", "or", "print", "printf", "println",
    "urlquery", "eq", "ne", "lt", "le", "gt", "ge",
}
# Those of Prometheus 2.42, on which newer ones would fail.
_PROMETHEUS = {
    "query", "first", "label", "value", "strvalue", "args", "sortByLabel", "match", "title", "toUpper",
    "toLower", "reReplaceAll", "safeHtml", "humanize", "humanize1024", "humanizeDuration",
    "humanizePercentage", "humanizeTimestamp", "toTime", "parseDuration", "stripPort", "stripDomain",
    "graphLink", "tableLink", "pathPrefix", "externalURL",
}
# fmt: on
_VARIABLES = {"$labels", "$value", "$externalLabels", "$externalURL"}


def problems(text: str) -> Iterator[str]:
    """Problems of a template, as sentences."""
    open_blocks = 0
    variables = set(_VARIABLES)
    for action in (match[1] for match in _ACTION.finditer(text)):
        if action.startswith("/*"):
            continue
        code = _STRING.sub('""', action)
        variables |= {name for name in _DOLLAR.findall(code) if re.search(rf"\{name}\s*(,|:=)", code)}
        words = _WORD.findall(code)
        open_blocks += (words[:1] != [] and words[0] in _OPENS) - (words[:1] == ["end"])
        for word in words:
            if word not in _KEYWORDS | _GO | _PROMETHEUS:
                yield f"calls {word}, which no Prometheus has"
        for name in sorted(set(_DOLLAR.findall(code)) - variables):
            yield f"uses {name}, which is not set"
    if open_blocks:
        yield "has an if, range or with without its end, or the other way round"
    rest = _ACTION.sub("", text)
    if "{{" in rest or "}}" in rest:
        yield "has braces that are not closed"
