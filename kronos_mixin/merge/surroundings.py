"""What the rest of a configuration does to the series that the Kronos rules read: warnings, before they are missed.

Scalars of a configuration are text here, as it writes them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kronos_mixin import shards, windows
from kronos_mixin.contract import Contract, load_contract
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.merge.prometheusyml import MergeError

_TRUE = {"true", "yes", "on", "True"}
_CONVERT = "convert_classic_histograms_to_nhcb"
_CLASSIC_TOO = "always_scrape_classic_histograms"


@dataclass(frozen=True)
class Surroundings:
    """The Kronos mixin, and the configuration that it goes to."""

    mixin: Mixin
    configuration: Mapping[str, Any]
    jobs: Sequence[Mapping[str, Any]]
    """Every scrape job of the configuration, and of the files that it names."""

    def fitted(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """A job of ours that keeps the classic histograms which our rules read, where the default takes them away."""
        wanted = _CONVERT in self._global and self._converts({}) and self.mixin.config["histograms"] == "classic"
        return {**job, **({_CONVERT: False} if wanted else {})}

    def warnings(self, ours: Sequence[Mapping[str, Any]]) -> list[str]:
        """What rules will not see of the job that they select, which is in ``ours`` or among the others.

        Raises MergeError if it is a part of the targets: of most rules nothing would be right.
        """
        name = self.mixin.config["job"]
        named = [job for job in (*ours, *self.jobs) if job.get("job_name") == name]
        if named and not self.mixin.config["shard"] and (share := shards.share(named[0])):
            raise MergeError(
                f"scrapes {share} of the targets of the job {name}, by hashmod in its relabel_configs. Of a part of "
                "the instances, shares are wrong, and alerts silent or false: load the rules where the series of all "
                "parts meet, and add the job alone here (--scrape-only). A few alerts are right on a shard: the "
                "knob shard chooses them (--config)"
            )
        if not named:
            return [self._unknown(name)]
        found = [*self._pace(named[0]), *self._histograms(named[0]), *_relabellings(named[0]), *_taken(named[0])]
        return [f"The scrape job {name} {sentence}" for sentence in found]

    @property
    def _global(self) -> Mapping[str, Any]:
        section = self.configuration.get("global")
        return section if isinstance(section, Mapping) else {}

    def _unknown(self, name: str) -> str:
        names = sorted({str(job.get("job_name")) for job in self.jobs})
        near = difflib.get_close_matches(name, names, n=1)
        meant = (
            f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}." if names else "there is none."
        )
        return f"The rules select by the job {name}, which this configuration does not scrape: {meant}"

    def _pace(self, job: Mapping[str, Any]) -> Iterator[str]:
        """Scrapes that are too far apart for the windows. The evaluation interval is in the rules themselves."""
        interval = str(job.get("scrape_interval") or self._global.get("scrape_interval") or "1m")
        if wrong := windows.gone_between(interval):
            yield f"has a scrape_interval that {wrong}."
            return
        config = self.mixin.config
        short = sorted(windows.too_short(config, interval, config["evaluationInterval"]), key=lambda one: len(one[0]))
        if short:
            path, wrong = short[0]
            others = f", and {len(short) - 1} more windows" if len(short) > 1 else ""
            yield f"is scraped every {interval}, but {'.'.join(path[1:])} {wrong}{others}: set them with --config."

    def _converts(self, job: Mapping[str, Any]) -> bool:
        """Whether classic histograms of a job are converted, and gone."""
        return _flag(_CONVERT, job, self._global) and not _flag(_CLASSIC_TOO, job, self._global)

    def _histograms(self, job: Mapping[str, Any]) -> Iterator[str]:
        histograms = self.mixin.config["histograms"]
        if histograms == "classic" and self._converts(job):
            yield (
                f"has {_CONVERT}, which takes away the buckets that the rules read: set it to false "
                "there, or the knob histograms to native."
            )
        if histograms == "native" and not _flag(_CONVERT, job, self._global):
            yield f"does not have {_CONVERT}: set it to true there, or the knob histograms to classic."


def _flag(key: str, job: Mapping[str, Any], default: Mapping[str, Any]) -> bool:
    return str(job.get(key, default.get(key, "false"))) in _TRUE


def _taken(job: Mapping[str, Any]) -> Iterator[str]:
    """Labels of the target that displace those of the service."""
    if str(job.get("honor_labels")) in _TRUE:
        return
    own = {label for metric in load_contract().metrics.values() for label in metric.labels}
    given = {label for group in _mappings(job, "static_configs") for label in group.get("labels") or ()}
    given |= {str(rule["target_label"]) for rule in _mappings(job, "relabel_configs") if rule.get("target_label")}
    if both := sorted(own & given):
        yield (
            f"gives its targets the label {', '.join(both)}, which the service's series have, too, and which the "
            "rules would no longer find: rename it, or set honor_labels to true."
        )
    if any(rule.get("action") == "labelmap" for rule in _mappings(job, "relabel_configs")):
        yield (
            "maps labels of discovery, whichever there are, to those of its targets: set honor_labels to true, or "
            "one such as version displaces the service's."
        )


def _relabellings(job: Mapping[str, Any]) -> Iterator[str]:
    """Relabelling that changes, or drops, what the rules read."""
    for rule in _mappings(job, "relabel_configs"):
        if rule.get("target_label") == "job" and rule.get("replacement") != job.get("job_name"):
            yield "has its label job rewritten in relabel_configs: the rules select by it."
        if rule.get("target_label") == "instance" and not rule.get("source_labels"):
            yield "gives every target the same instance in relabel_configs: their series collide."
    contract = load_contract()
    for rule in [*_mappings(job, "relabel_configs"), *_mappings(job, "metric_relabel_configs")]:
        if lost := _lost_labels(rule, contract):
            yield f"loses the label {', '.join(lost)} by {rule['action']}, which the rules read."
    for rule in _mappings(job, "metric_relabel_configs"):
        if rule.get("target_label") == "job":
            yield "has its label job rewritten in metric_relabel_configs: the rules select by it."
        if lost := _lost_series(rule, contract):
            more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
            yield f"loses {', '.join(lost[:3])}{more} by {rule['action']} in metric_relabel_configs."


def _lost_labels(rule: Mapping[str, Any], contract: Contract) -> list[str]:
    action = str(rule.get("action", "")).lower()
    if action not in {"labeldrop", "labelkeep"}:
        return []
    read = {"job", "instance", *(label for labels in contract.target_series().values() for label in labels)}
    return sorted(label for label in read if _matches(rule, label) == (action == "labeldrop"))


def _lost_series(rule: Mapping[str, Any], contract: Contract) -> list[str]:
    action = str(rule.get("action", "")).lower()
    if action not in {"drop", "keep"} or rule.get("source_labels") != ["__name__"]:
        return []
    series = (name for metric in contract.metrics for name in contract.exposed_series(metric))
    return sorted(name for name in series if _matches(rule, name) == (action == "drop"))


def _matches(rule: Mapping[str, Any], value: str) -> bool:
    try:
        return re.fullmatch(str(rule.get("regex", ".*")), value) is not None
    except re.error:  # RE2 has a few things that Python lacks: say nothing rather than something wrong.
        return str(rule.get("action", "")).lower() in {"keep", "labelkeep"}


def _mappings(job: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = job.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
