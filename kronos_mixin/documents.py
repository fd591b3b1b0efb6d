"""Documents that quote the mixin and its contract: what they quote is written into them, never by hand.

What is generated stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->`. Words after the name say what
to quote.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from kronos_mixin import knobs, reference
from kronos_mixin.contract import load_contract
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.reference import table

Section = Callable[[Sequence[str]], str]
"""Markdown of a section, from the words after its name."""

SECTIONS = "kronos_mixin.sections"
"""Entry points by which other packages bring sections of the guide: a name, and a function that gives Markdown."""

_SECTION = re.compile(r"<!-- generated: (?P<name>\S+)(?P<words>[^>]*) -->\n.*?<!-- end of (?P=name) -->", re.DOTALL)


class DocumentError(ValueError):
    """A page lacks the markers of a section, or a section names a knob that does not exist."""


def documents(mixin: Path, data: Mixin) -> dict[Path, str]:
    """Every page with something generated, as it should be.

    ``mixin`` is the folder of the Kronos mixin, ``data`` what is in it, without anybody's configuration laid over it.

    The guide to the service and the design are among them where they lie beside the mixin, in a checkout. Raises
    DocumentError, or ContractError if the contract is wrong.
    """
    meanings = knobs.meanings(mixin)
    runbooks = {path.stem: path for path in sorted((mixin / "runbooks").glob("*.md"))}
    index = runbooks.pop("README", None)

    pages = {mixin / "CONFIG.md": knobs.reference(data.config, meanings)}
    for alert, path in runbooks.items():
        pages[path] = _filled(path, {"defaults": functools.partial(_defaults, data, meanings, alert)})
    if index is not None:
        pages[index] = _filled(index, {"alerts": lambda _: _index(data, runbooks)})
    contract = load_contract(mixin / "metrics.json")
    guide, design = (mixin.parent / page for page in ("service/OBSERVABILITY.md", "docs/design.md"))
    if guide.is_file():
        pages[guide] = _filled(guide, {"metrics": lambda _: reference.section(contract), **dict(_others())})
    if design.is_file():
        pages[design] = _filled(design, {"reasons": lambda _: reference.reasons(contract)})
    return pages


def stale(mixin: Path, data: Mixin) -> Iterator[Path]:
    """The documents that are not as they should be."""
    for path, text in documents(mixin, data).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            yield path


def write(mixin: Path, data: Mixin) -> list[Path]:
    """Write the documents that are not as they should be, and return them."""
    changed = list(stale(mixin, data))
    pages = documents(mixin, data)
    for path in changed:
        path.write_text(pages[path], encoding="utf-8")
    return changed


def fill(text: str, sections: Mapping[str, Section]) -> str:
    """``text`` with these sections made anew; raises DocumentError if it lacks one. Others stay as they are."""
    there = [match["name"] for match in _SECTION.finditer(text)]
    for name in sections:
        if there.count(name) != 1:
            begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
            raise DocumentError(f"there must be one {begin} with one {end} after it")

    def made(match: re.Match[str]) -> str:
        name, words = match["name"], match["words"].split()
        if name not in sections:
            return match[0]
        begin = " ".join(["<!-- generated:", name, *words, "-->"])
        return f"{begin}\n\n{sections[name](words)}\n\n<!-- end of {name} -->"

    return _SECTION.sub(made, text)


def _filled(path: Path, sections: Mapping[str, Section]) -> str:
    try:
        return fill(path.read_text(encoding="utf-8"), sections)
    except DocumentError as error:
        raise DocumentError(f"{path}: {error}") from error


def _others() -> Iterator[tuple[str, Section]]:
    """Sections of packages that are installed and can be imported: the service's needs its extra."""
    for point in entry_points(group=SECTIONS):
        try:
            made: Callable[[], str] = point.load()
        except ImportError:
            continue
        yield point.name, functools.partial(_without_words, made)


def _without_words(made: Callable[[], str], _: Sequence[str]) -> str:
    return made()


def _defaults(data: Mixin, meanings: Mapping[tuple[str, ...], str], alert: str, words: Sequence[str]) -> str:
    """The knobs of an alert, and others that its runbook names, with their defaults."""
    own = knobs.leaves(data.config["alerts"].get(alert, {}), ("alerts", alert))
    quoted = [(path, ".".join(path[2:]), value) for path, value in own if path[-1] != "enabled"]
    for word in words:
        path = tuple(word.split("."))
        value: Any = data.config
        try:
            for key in path:
                value = value[key]
        except (KeyError, TypeError) as error:
            raise DocumentError(f"quotes the knob {word}, which does not exist") from error
        quoted += [(one, ".".join(one), leaf) for one, leaf in knobs.leaves(value, path)]
    rows = ((f"`{name}`", knobs.code(value), knobs.meaning(path, meanings)) for path, name, value in quoted)
    return table(("knob", "default", "meaning"), rows)


def _index(data: Mixin, runbooks: Mapping[str, Path]) -> str:
    """Every alert: its severity, how long its condition must hold, and the first sentence of its runbook."""
    compiled: dict[str, list[Mapping[str, Any]]] = {}
    for rule in (rule for group in data.alerts for rule in group["rules"]):
        compiled.setdefault(rule["alert"], []).append(rule)
    rows = []
    for alert, path in runbooks.items():
        own = data.config["alerts"].get(alert, {})
        rules = compiled.get(alert) or [{"labels": own, "for": own.get("for", "")}]
        severities = sorted({rule["labels"].get("severity", "") for rule in rules})
        waits = list(dict.fromkeys(rule.get("for", "0s") for rule in rules))
        state = "" if alert in compiled else " (off by default)"
        meaning = _first_sentence(path.read_text(encoding="utf-8"))
        rows.append((f"[{alert}]({path.name}){state}", ", ".join(severities), ", ".join(waits), meaning))
    return table(("alert", "severity", "for", "what it means"), rows)


def _first_sentence(runbook: str) -> str:
    _, _, body = runbook.partition("## Meaning\n")
    paragraph = body.strip().partition("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=\.) (?=[A-Z`])", paragraph)[0]
