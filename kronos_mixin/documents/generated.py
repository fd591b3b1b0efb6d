"""Pages and their generated sections."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from kronos_mixin.contract import load_contract
from kronos_mixin.documents import knobs, reference
from kronos_mixin.documents.reference import table
from kronos_mixin.jsonnet import Mixin

Section = Callable[[Sequence[str]], str]
"""Makes the Markdown of a section from the words after its name."""

SECTIONS = "kronos_mixin.sections"
"""Entry points through which others add sections to these pages; each is a function that returns Markdown."""

_PAGES = {
    "service/OBSERVABILITY.md": ("metrics", "log-fields", "settings"),
    "monitoring/README.md": ("checks",),
    "docs/design.md": ("reasons",),
}
"""The pages of a checkout beside the mixin, and their sections."""

_SECTION = re.compile(r"<!-- generated: (?P<name>\S+)(?P<words>[^>]*) -->\n.*?<!-- end of (?P=name) -->", re.DOTALL)


class DocumentError(ValueError):
    """A page lacks the markers of a section, or a section names a knob that does not exist."""


def documents(mixin: Path, data: Mixin) -> dict[Path, str]:
    """Return the up-to-date text of every page that has generated parts.

    ``mixin`` is the folder of the Kronos mixin, ``data`` the evaluated mixin with its default configuration.

    In a checkout, the guides and the design are included. Raises DocumentError, or ContractError if
    the contract is wrong.
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
    own = {"metrics": lambda _: reference.section(contract), "reasons": lambda _: reference.reasons(contract)}
    for page, names in _PAGES.items():
        path = mixin.parent / page
        if path.is_file():
            known = own | dict(_others())
            pages[path] = _filled(path, {name: known[name] for name in names if name in known})
    return pages


def stale(mixin: Path, data: Mixin) -> dict[Path, str]:
    """The documents that are out of date, with the text that they should have."""
    return {
        path: text
        for path, text in documents(mixin, data).items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    }


def write(mixin: Path, data: Mixin) -> list[Path]:
    """Write the documents that are out of date, and return their paths."""
    changed = stale(mixin, data)
    for path, text in changed.items():
        path.write_text(text, encoding="utf-8")
    return list(changed)


def fill(text: str, sections: Mapping[str, Section]) -> str:
    """Generate these sections in ``text``, and leave others alone. Raises DocumentError if one is missing."""
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
    """Sections of installed packages. One whose import fails is left out: the service's needs its extra."""
    for point in entry_points(group=SECTIONS):
        try:
            made: Callable[[], str] = point.load()
        except ImportError:
            continue
        yield point.name, functools.partial(_without_words, made)


def _without_words(made: Callable[[], str], _: Sequence[str]) -> str:
    return made()


def _defaults(data: Mixin, meanings: Mapping[tuple[str, ...], str], alert: str, words: Sequence[str]) -> str:
    """A table of the alert's knobs, and of those in ``words``, with their defaults."""
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
    """A table of all alerts: severity, `for`, and the first sentence of the runbook."""
    compiled: dict[str, list[Mapping[str, Any]]] = {}
    for rule in (rule for group in [*data.alerts, *data.central] for rule in group["rules"]):
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
