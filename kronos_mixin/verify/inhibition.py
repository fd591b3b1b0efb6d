"""Alertmanager's inhibitions: which alert mutes which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kronos_mixin.verify import matchers
from kronos_mixin.verify.matchers import Labels, Matcher


@dataclass(frozen=True)
class Inhibition:
    """One rule: while an alert that fulfils `source` fires, those that fulfil `target` say nothing.

    The labels in `equal` must be the same on both; a label that is not there is empty.
    """

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]

    def mutes(self, source: Labels, target: Labels) -> bool:
        """Whether one alert mutes another. Those that fulfil both sides don't mute each other."""
        return (
            self.is_source(source)
            and self.is_target(target)
            and not (self.is_target(source) and self.is_source(target))
            and all(source.get(label, "") == target.get(label, "") for label in self.equal)
        )

    def is_source(self, labels: Labels) -> bool:
        """Whether an alert may mute others."""
        return matchers.all_match(self.source, labels)

    def is_target(self, labels: Labels) -> bool:
        """Whether an alert may be muted."""
        return matchers.all_match(self.target, labels)


def inhibitions(config: Mapping[str, Any]) -> list[Inhibition]:
    """The inhibitions of a configuration, all of whose scalars are text. Raises ValueError."""
    return [
        Inhibition(matchers.of(rule, "source_"), matchers.of(rule, "target_"), tuple(rule.get("equal") or ()))
        for rule in config.get("inhibit_rules") or ()
    ]
