"""What a configuration may say: every knob of the Kronos mixin, and the values it takes.

Nothing is listed here a second time. A knob exists if config.libsonnet has it, and its default tells what may replace
it: `'5m'` is a duration, `'0.5'` a number, `true` a boolean. Where that is not enough, the knob's comment ends in a
note such as `[0 to 1]`, which holds for everything below the knob.
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path as File
from typing import Any, NamedTuple

from kronos_mixin import promql, windows
from kronos_mixin.config import Config, Data, Number, meant
from kronos_mixin.contract import load_contract, mixin_path

Path = tuple[str, ...]
"""Where a knob is: its keys below `_config`, and numbers for the items of lists."""

SEVERITIES = ("critical", "warning", "info")

_KEY = re.compile(r"^(?P<indent> *)'?(?P<key>[\w/]+)'?\+?: (?P<value>.*)$")
_COMMENT = re.compile(r"^ *// ?(?P<text>.*)$")
_NOTE = re.compile(r" \[(?P<note>[^\[\]]+)\]$")

_DURATION = re.compile(r"(?=.)(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?")
_NUMBER = re.compile(r"\d+(\.\d+)?([eE][-+]?\d+)?")
_LABEL = r"[a-zA-Z_][a-zA-Z0-9_]*"
_ADDRESS = re.compile(r"(?:[\w.-]+|\[(?P<ipv6>[\da-fA-F:.]+)(?:%\w+)?\]):(?P<port>\d{1,5})")
_URL = re.compile(r"https?://[^\s/]+\S*")
_TIME = re.compile(r"now([-+]\d+[smhdwMy])*(/[smhdwMy])?")

TOO_DEEP = "leave out `_config:` and write what is below it"

_MAY_BE_ZERO = {"for", "keepFiringFor"}


class Kind(NamedTuple):
    """The values that a knob takes: `words` for people, and the test of one value."""

    words: str
    takes: Callable[[Any], bool]


def is_address(value: Any) -> bool:
    """Whether a text is what Prometheus can scrape: a host or an address, and a port."""
    match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 0 < int(match["port"]) < 1 << 16:
        return False
    try:
        return match["ipv6"] is None or bool(ipaddress.IPv6Address(match["ipv6"]))
    except ValueError:
        return False


ADDRESS = "an address with a port such as 127.0.0.1:8000 or [::1]:8000, without http:// and path"


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


def _seconds(duration: str) -> int:
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([smhdwy])", duration))


def _share(words: str, fits: Callable[[float], bool]) -> Kind:
    return Kind(words, lambda value: _matches(_NUMBER, value) and fits(float(value)))


def _pattern(words: str, pattern: str) -> Kind:
    return Kind(words, lambda value: _matches(re.compile(pattern), value))


def _one_of(values: Sequence[str]) -> Kind:
    return Kind("one of " + ", ".join(values), lambda value: isinstance(value, str) and value in values)


_NOTED = {
    "classic, native or both": _one_of(("classic", "native", "both")),
    "at most 4m": Kind(
        "a duration of at most 4m", lambda value: _matches(_DURATION, value) and _seconds(value) <= 240
    ),
    "0 to 1": _share("a share from 0 to 1", lambda share: 0 <= share <= 1),
    "between 0 and 1": _share("a share above 0 and below 1", lambda share: 0 < share < 1),
    "job name": _pattern("a name, without quotes and backslashes", r'[^"\\]+'),
    "label names": _pattern("a label name: letters, digits and _", _LABEL),
    "labels": Kind("text", lambda value: isinstance(value, str)),
    "matchers": Kind('label matchers such as job="kronos-api"', lambda value: _matchers(value) != ()),
    "http or https": _one_of(("http", "https")),
    "texts": Kind("text, not empty", lambda value: isinstance(value, str) and value != ""),
    "addresses": Kind("an address that begins with https:// or http://", lambda value: _matches(_URL, value)),
    "host:port": Kind(ADDRESS, is_address),
}


def problems(known: Mapping[str, Any], given: Mapping[str, Any], configs: Sequence[Config] = ()) -> list[str]:
    """Everything that is wrong with a configuration, one line each, with file and line as far as they are known.

    `known` is the configuration as the mixin has it, `given` what it has become under `configs`; both hold
    `{"kronos": {...}}`, `given` also the keys of `_config` that only the user has.
    """
    # What is merged may hide what was wrong: to Jsonnet, a text and an object added up are a text.
    single = [_wrong(known, _texts(config), (), partly=True) for config in configs if isinstance(config, Mapping)]
    found: dict[Path, str] = {}
    for path, sentence in itertools.chain(*single, _wrong(known, given, ())):
        found.setdefault(path, sentence)
    if not found:
        found = dict(itertools.chain(_blind(given["kronos"]), _taken(given["kronos"]), _empty(given["kronos"])))
    return [f"{_place(configs, path)}{sentence}" for path, sentence in found.items()]


@functools.cache
def notes() -> Mapping[Path, str]:
    """The notes in the comments of config.libsonnet, by knob."""
    source = (mixin_path() / "config.libsonnet").read_text(encoding="utf-8")
    return {("kronos", *path): match["note"] for path, text in comments(source) if (match := _NOTE.search(text))}


def comments(source: str) -> Iterator[tuple[Path, str]]:
    """The comment above each key of config.libsonnet, by the key's path below `_config.kronos`.

    Keys that follow without a gap share it, but not its note. The layout is jsonnetfmt's: one key a line.
    """
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    shared: dict[int, str] = {}
    _, _, body = source.partition("\n    kronos+: {\n")
    for line in body.splitlines():
        if match := _COMMENT.match(line):
            comment.append(match["text"])
        elif match := _KEY.match(line):
            depth = len(match["indent"])
            path = [(indent, key) for indent, key in path if indent < depth] + [(depth, match["key"])]
            shared = {indent: text for indent, text in shared.items() if indent <= depth}
            text = " ".join(comment)
            if text:
                shared[depth] = _NOTE.sub("", text)
            if depth in shared:
                yield tuple(key for _, key in path), text or shared[depth]
            comment = []
        elif not line.strip():
            shared = {}


def _by_default(default: Any, path: Path) -> Kind:
    if isinstance(default, bool):
        return Kind("true or false, without quotes", lambda value: isinstance(value, bool))
    if default in SEVERITIES:
        return _one_of(SEVERITIES)
    if _DURATION.fullmatch(default):
        zero = path[-1] in _MAY_BE_ZERO
        words = f"a duration such as {default}" + ("" if zero else ", longer than 0s")
        return Kind(words, lambda value: _matches(_DURATION, value) and (zero or bool(re.search("[1-9]", value))))
    if _NUMBER.fullmatch(default):
        return Kind(f"a number such as {default}", lambda value: _matches(_NUMBER, value))
    if _URL.fullmatch(default):
        return Kind("an address that begins with https:// or http://", lambda value: _matches(_URL, value))
    if _TIME.fullmatch(default):
        return Kind(f"a time such as {default}", lambda value: _matches(_TIME, value))
    if default == "":
        return Kind("text", lambda value: isinstance(value, str))
    return Kind("text, not empty", lambda value: isinstance(value, str) and value != "")


def _kind(default: Any, path: Path) -> Kind:
    """What a knob takes whose default is no object and no list."""
    kind, note = _by_default(default, path), _note(path)
    if note is None:
        return kind
    if note == "may be empty":
        return Kind(f"{kind.words}, or empty", lambda value: value == "" or kind.takes(value))
    what, _, name = note.partition(" of ")
    if what == "values":
        return _one_of(tuple(load_contract().label_values[name]))
    if what == "buckets":
        return _bucket(load_contract().metrics[name].buckets, name)
    return _NOTED[note]


def _bucket(boundaries: Sequence[str], histogram: str) -> Kind:
    """A boundary of a histogram: 5 is 5.0."""
    written = {*boundaries, *(boundary.removesuffix(".0") for boundary in boundaries)}
    words = f"a bucket of {histogram}: {', '.join(boundaries)}"
    return Kind(words, lambda value: isinstance(value, str) and value in written)


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _matchers(selector: Any) -> tuple[promql.Matcher, ...]:
    """The matchers of a selector without its braces; none for what is no such thing."""
    try:
        return promql.matchers(selector) if isinstance(selector, str) else ()
    except ValueError:
        return ()


def _wrong(
    known: Mapping[str, Any], given: Mapping[str, Any], path: Path, *, partly: bool = False
) -> Iterator[tuple[Path, str]]:
    """What is wrong with an object, by path. `partly`: it is laid over the known one, and need not be whole."""
    free = bool(path) and not known
    for key, value in given.items():
        here = (*path, key)
        if free:
            yield from _own(key, value, here)
        elif key in known:
            yield from _value(known[key], value, here, partly)
        else:
            yield here, _unknown(key, known, here)
    if not partly and (lost := sorted(known.keys() - given.keys())):
        yield path, f"{_name(path)} has lost {', '.join(lost)}: write `{path[-1]}+:`, not `{path[-1]}:`"


def _unknown(key: str, known: Mapping[str, Any], path: Path) -> str:
    """What to say of a knob that does not exist."""
    if path == ("_config",):  # Configuration files begin below it, but every message names it.
        return f"{TOO_DEEP}: a configuration file begins with `kronos:`"
    return f"No such knob: {_name(path)}. {meant(key, known)}"


def _own(label: str, value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """What is wrong with an entry of an object that users fill with labels of their own."""
    if not re.fullmatch(_LABEL, label):
        yield path, f"{_name(path)}: {label!r} is no label name: letters, digits and _"
    yield from _scalar("", value, path)


def _value(default: Any, value: Any, path: Path, partly: bool) -> Iterator[tuple[Path, str]]:
    if isinstance(default, Mapping):
        if isinstance(value, Mapping):
            yield from _wrong(default, value, path, partly=partly)
        else:
            yield path, f"{_name(path)} is {_shown(value)}: must be an object"
    elif isinstance(default, list):
        if isinstance(value, list):
            for number, item in enumerate(value):
                yield from _item(default, item, (*path, str(number)))
        else:
            yield path, f"{_name(path)} is {_shown(value)}: must be a list, such as {json.dumps(default)}"
    else:
        yield from _scalar(default, value, path)


def _item(defaults: list[Any], item: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """What is wrong with an item of a list whose items are like `defaults`."""
    like = defaults[0] if defaults else ""
    if not isinstance(like, Mapping) or not isinstance(item, Mapping):
        yield from _value(like, item, path, partly=False)
    elif _note(path) == "labels":
        yield from _wrong({}, item, path)
    else:
        yield from _wrong(like, item, path, partly=True)
        if missing := [key for key in like if key not in item]:
            yield path, f"{_name(path)} has no {', '.join(missing)}"


def _scalar(default: Any, value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    kind = _kind(default, path)
    if isinstance(value, int | float) and not isinstance(value, bool) and kind.takes(_shown(value)):
        yield path, f"{_name(path)} is the number {_shown(value)}: must be a text, '{_shown(value)}'"
    elif not kind.takes(value):
        yield path, f"{_name(path)} is {_shown(value)}: must be {kind.words}"


def _blind(config: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """A selector that never matches what is scraped or expected, so that rules and dashboards would read nothing."""
    selector = config["selector"]
    watched = [("scrape.job", {"job": config["scrape"]["job"]})]
    watched += [(f"expectedTargets[{number}]", target) for number, target in enumerate(config["expectedTargets"])]
    for knob, labels in watched:
        for matcher in _matchers(selector):
            if matcher.label in labels and not matcher.lets_through(labels[matcher.label]):
                shown = ", ".join(f'{label}="{value}"' for label, value in labels.items())
                sentence = (
                    f"_config.kronos.selector is {selector}, which never matches _config.kronos.{knob} ({shown}): "
                    "rules and dashboards would read nothing of it. Set _config.kronos.job instead: "
                    "selector, scrape.job and expectedTargets follow it"
                )
                yield ("kronos", "selector"), sentence
                return
    kept = ["job", *config["aggregationLabels"]]
    if not any(matcher.label in kept for matcher in _matchers(selector)):
        sentence = (
            f"_config.kronos.selector is {selector}: must match one of {', '.join(kept)}. Recorded series have no "
            "other label that tells installations apart, and one would read those of another"
        )
        yield ("kronos", "selector"), sentence


def _taken(config: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Aggregation labels that rules and panels have anyway, or that are named twice."""
    metrics = load_contract().metrics.values()
    seen = {"job", "instance", "le"}.union(*(metric.labels for metric in metrics))
    for number, label in enumerate(config["aggregationLabels"]):
        if label in seen:
            path = ("kronos", "aggregationLabels", str(number))
            yield path, f'{_name(path)} is "{label}": must be a label that is not in use already'
        seen.add(label)


def _empty(config: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Windows, and intervals, with which rules would find too few samples."""
    scrape, evaluation = config["scrape"]["interval"], config["evaluationInterval"]
    paces: dict[Path, str] = {("kronos", "scrape", "interval"): scrape, ("kronos", "evaluationInterval"): evaluation}
    for path, pace in paces.items():
        if wrong := windows.gone_between(pace):
            yield path, f"{_name(path)} {wrong}"
    for path, wrong in windows.too_short(config, scrape, evaluation):
        yield path, f"{_name(path)} {wrong}"
    if windows.seconds(config["scrape"]["timeout"]) > windows.seconds(scrape):
        path = ("kronos", "scrape", "timeout")
        yield (
            path,
            f"{_name(path)} is {config['scrape']['timeout']}: must be at most scrape.interval, which is {scrape}",
        )


def _texts(value: Any) -> Any:
    """Data in which every number is the text that it was written as, which is what it becomes."""
    if isinstance(value, Mapping):
        return {key: _texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts(item) for item in value]
    return value.text if isinstance(value, Number) else value


def _note(path: Path) -> str | None:
    """The note of a knob, else of what it is in."""
    return next((notes()[path[:end]] for end in range(len(path), 0, -1) if path[:end] in notes()), None)


def _name(path: Path) -> str:
    """A path as people write it: `_config.kronos.objectives.burn[0].long`."""
    return "_config" + "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in path)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _place(configs: Sequence[Config], path: Path) -> str:
    """Where a knob was set, `file:line: `; empty if that can't be told."""
    # A list is replaced as a whole: who sets it sets its items.
    knob = tuple(itertools.takewhile(lambda part: not part.isdecimal(), path))
    for end in range(len(knob), 0, -1):
        for config in reversed(configs):
            if isinstance(config, Data) and knob[:end] in config.places:
                nearest = next(path[:at] for at in range(len(path), 0, -1) if path[:at] in config.places)
                return f"{config.places[nearest]}: "
            if isinstance(config, File) and (line := _line(config, knob[:end])):
                return f"{config}:{line}: "
    return ""


def _line(file: File, path: Path) -> int | None:
    """The line of a Jsonnet file that seems to set a knob: where its keys follow each other."""
    field = r"""(?<!\w)["']?{}["']?\s*\+?:{{1,3}}""".format
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    found = re.search(".*?".join(field(re.escape(key)) for key in path), text, re.DOTALL)
    return text.count("\n", 0, found.end()) + 1 if found else None
