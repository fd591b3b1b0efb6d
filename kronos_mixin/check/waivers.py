"""Waivers of rules, in a file `.lint` beside the mixin, as dashboard-linter and mixtool read it.

    exclusions:
      target-instance-rule:
        reason: Rules sum over instances.
        entries:
          - {dashboard: Lamps, panel: On}

Under `warnings` an offence stays, but fails nothing. Each entry names what it is about: `dashboard` and `panel` by
title, `targetIdx`, `alert`; without entries, the rule is waived everywhere. `series`, a shell pattern, is our own.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kronos_mixin.check.finding import Finding
from kronos_mixin.config import ConfigError, Data, Number, meant, read

FILE = ".lint"

_SECTIONS = ("exclusions", "warnings")


class About(NamedTuple):
    """What an offence is about; what it is not about is empty."""

    rule: str
    dashboard: str = ""
    panel: str = ""
    target: str = ""
    """The number of the query in its panel, from 0."""
    alert: str = ""
    series: str = ""


@dataclass(frozen=True, slots=True)
class Waiver:
    """One entry, or a rule without entries."""

    about: About
    reason: str = ""
    place: str = FILE
    """File and line."""
    warning: bool = False

    def covers(self, offence: About) -> bool:
        """Whether an offence is of this rule, and about all that the entry names."""
        wanted = self.about
        named = ((wanted.dashboard, offence.dashboard), (wanted.panel, offence.panel), (wanted.alert, offence.alert))
        same = all(not name or name == other for name, other in (*named, (wanted.target, offence.target)))
        return wanted.rule == offence.rule and same and fnmatch.fnmatchcase(offence.series, wanted.series or "*")


def waivers(folder: Path) -> list[Waiver]:
    """The waivers in the `.lint` of a mixin's folder; none without one. Raises ConfigError."""
    path = folder / FILE
    data = read(path) if path.is_file() else {}
    if not isinstance(data, Data):
        return []
    found = []
    for section, rules in data.items():
        if section not in _SECTIONS:
            place = data.places.get((section,), path)
            raise ConfigError(f"{place}: no such section: {section}. {meant(section, _SECTIONS)}")
        for rule, given in (rules or {}).items() if isinstance(rules, Mapping | None) else ():
            whole = given if isinstance(given, Mapping) else {}
            entries = whole.get("entries")
            for number, entry in enumerate(entries if isinstance(entries, list) and entries else [{}]):
                here = (section, rule, "entries", str(number))
                place = data.places.get(here) or data.places.get((section, rule), str(path))
                fields = entry if isinstance(entry, Mapping) else {}
                reason = str(fields.get("reason") or whole.get("reason") or "")
                found.append(Waiver(_about(rule, fields), reason, place, warning=section == "warnings"))
    return found


def applied(offences: Iterable[tuple[About, Finding]], waivers: Iterable[Waiver]) -> Iterator[Finding]:
    """The findings without those that are excluded, as warnings where they are to be no more."""
    waivers = list(waivers)
    for about, finding in offences:
        covering = [waiver for waiver in waivers if waiver.covers(about)]
        if all(waiver.warning for waiver in covering):
            yield finding.as_warning() if covering else finding


def idle(offences: Iterable[tuple[About, Finding]], waivers: Iterable[Waiver]) -> Iterator[Finding]:
    """Waivers that excuse nothing, or do not say why."""
    about = [offence for offence, _ in offences]
    for waiver in waivers:
        if not any(waiver.covers(offence) for offence in about):
            yield Finding(waiver.place, waiver.about.rule, "excuses nothing: take it out")
        elif not waiver.reason:
            yield Finding(waiver.place, waiver.about.rule, "does not say why: give a reason")


def _about(rule: str, entry: Mapping[str, Any]) -> About:
    texts = {key.lower(): value.text if isinstance(value, Number) else str(value) for key, value in entry.items()}
    return About(rule, *(texts.get(key, "") for key in ("dashboard", "panel", "targetidx", "alert", "series")))
