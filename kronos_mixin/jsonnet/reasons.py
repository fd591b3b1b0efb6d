"""One wording for what goes wrong in a Jsonnet program, whichever implementation says it.

Where one of them tells less than the other, so does the common wording.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_Say = str | Callable[[re.Match[str]], str]


def _types(found: str, expected: str = "") -> str:
    # Of an array that is missing, C++ does not always say what is there instead.
    if expected == "array":
        return "expected array"
    return f"unexpected type {found}" + (f", expected {expected}" if expected else "")


def _binary(match: re.Match[str]) -> str:
    left, right = match["left"], match["right"]
    if expected := {"&&": "boolean", "||": "boolean", "+": "", "<": "", ">": ""}.get(
        match["operator"][0:2], "number"
    ):
        return _types(left if left != expected else right, expected)
    return _types(right, left)


def _builtin(match: re.Match[str]) -> str:
    pairs = zip(match["expected"].split(", "), match["got"].split(", "), strict=False)
    expected, found = next(((expected, found) for expected, found in pairs if expected != found), ("", ""))
    return _types(found, "" if match["name"] in {"asciiLower", "asciiUpper"} else expected)


_SAME_WORDS = (
    r"(?i:(attempt to use super|codepoints must be|division by zero|duplicate field name|field does not exist"
    r"|max stack frames exceeded|overflow|shift by negative exponent|undefined external variable)(.*?)\.?)"
)
_REASONS: tuple[tuple[str, _Say], ...] = (
    # They differ in case, and in the stop at the end.
    (_SAME_WORDS, lambda match: match[1].lower() + match[2]),
    (r"(?:Object a|A)ssertion failed\.?", "assertion failed"),
    (r"[Ff]ield (?:name )?(?:must be string, got:? \w+|was not a string\.)", "field name must be string"),
    (r"(?:array|string) bounds error: (\S+) not within (.+)", r"index \1 out of bounds, not within \2"),
    (r"Index (\S+) out of bounds, not within (.+)", r"index \1 out of bounds, not within \2"),
    (r"attempted index an array with string .*", _types("string", "number")),
    (
        r"can only index objects, strings, and arrays, got (\w+)\.?",
        r"can only index objects, strings, and arrays, got \1",
    ),
    (
        r"Value non indexable: \*jsonnet\.value(\w+)",
        lambda match: f"can only index objects, strings, and arrays, got {match[1].lower()}",
    ),
    (r"only functions can be called, got (\w+)", lambda match: _types(match[1], "function")),
    (r"function parameter (\w+) not bound in call\.", r"missing argument: \1"),
    (r"Missing argument: (\w+)", r"missing argument: \1"),
    (r"too many args, function has (\d+) parameter\(s\)", r"too many arguments, the function has \1"),
    (r"function expected (\d+) positional argument\(s\), but got \d+", r"too many arguments, the function has \1"),
    (r"binding parameter a second time: (\w+)", r"argument \1 already provided"),
    (r"Argument (\w+) already provided", r"argument \1 already provided"),
    (r"condition must be boolean, got (\w+)\.", lambda match: _types(match[1], "boolean")),
    (r"binary operator (?P<operator>\S+) requires matching types, got (?P<left>\w+) and (?P<right>\w+)\.", _binary),
    (r"binary operator \S+ does not operate on (?:type )?(\w+?)s?\.?", lambda match: _types(match[1])),
    (r"unary operator ! does not operate on (?:type )?(\w+?)s?\.?", lambda match: _types(match[1], "boolean")),
    (r"unary operator \S does not operate on (?:type )?(\w+?)s?\.?", lambda match: _types(match[1], "number")),
    (r"In comprehension, can only iterate over array\.", _types("", "array")),
    (r"length operates on strings, objects, and arrays, got (\w+)", lambda match: _types(match[1])),
    (r"foldl second parameter should be string or array, got (\w+)", lambda match: _types(match[1])),
    (r"Builtin function (?P<name>\w+) expected \((?P<expected>.*)\) but got \((?P<got>.*)\)", _builtin),
    (r"substr \w+ parameter should be a (\w+), got (\w+)", lambda match: _types(match[2], match[1])),
    (r"expected (\w+) but arr\[\d+\] was (\w+) ?", lambda match: _types(match[2], match[1])),
    (r"Unexpected type (\w+)(?:, expected (\w+))?", lambda match: _types(match[1], match[2] or "")),
    (r"\[json\.exception\.parse_error.*|failed to parse JSON: .*", "failed to parse JSON"),
    (r"YAML error: .*|failed to parse YAML: .*", "failed to parse YAML"),
    (r"couldn't manifest function (?:in JSON output\.|as JSON)", "couldn't manifest function"),
    (
        r"native extensions can only take primitives\.|failed to execute native callback.*",
        "native functions can only take primitives",
    ),
)

_STATIC: tuple[tuple[str, _Say], ...] = (
    (r'unexpected: "(\w+)"', r"unexpected: \1"),
    (r'\((\w+), "\1"\)', r'"\1"'),
    (r"unterminated String", "unterminated string"),
    (
        r".*[Uu]nknown escape sequence in string literal: (?:'(.*)'|\\(.*))",
        lambda match: f"unknown escape sequence in string literal: {match[1] or match[2]}",
    ),
    (r"could not lex the character.*", "could not lex the character"),
)


def common(reason: str) -> str:
    """The common wording of a reason at run time; what the program itself says is left as it is."""
    for pattern, say in _REASONS:
        if match := re.fullmatch(pattern, reason, re.DOTALL):
            return match.expand(say) if isinstance(say, str) else say(match)
    return reason


def common_static(reason: str) -> str:
    """The common wording of a reason for which a file is no Jsonnet."""
    reason = reason[:1].lower() + reason[1:].rstrip(".")
    for pattern, say in _STATIC:
        reason = re.sub(pattern, say, reason)
    return reason
