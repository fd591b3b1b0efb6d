"""The options of a merge, and those remembered from an earlier one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kronos_mixin.commands import each
from kronos_mixin.config import Config, Data
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.merge.blocks import options_of
from kronos_mixin.merge.patterns import Patterns
from kronos_mixin.merge.placed import options_in, placed
from kronos_mixin.merge.plan import without_dots
from kronos_mixin.merge.prometheusyml import MergeError, to_data, tree

OUTSIDE = ("--ext-str", "--ext-code", "--tla-str", "--tla-code")


@dataclass(frozen=True)
class Request:
    """The options that merge remembers."""

    config: Sequence[Path] = ()
    job: str | None = None
    targets: Sequence[str] = ()
    rules_only: bool = False
    scrape_only: bool | None = None
    """None: nothing was said, and the configuration decides."""
    overlay: Sequence[Path] = ()
    outside: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What was given to options of Jsonnet, such as --ext-str, by option."""

    def options(self, base: Path) -> list[str]:
        """As command-line arguments. Files below `base` are relative to it, so that both can move together."""
        return [
            *each("--config", _relative(self.config, base)),
            *each("--overlay", _relative(self.overlay, base)),
            *(part for option, values in self.outside.items() for part in each(option, values)),
            *each("--job", [self.job] if self.job else []),
            *each("--target", self.targets),
            *(["--rules-only"] if self.rules_only else []),
            *([] if self.scrape_only is None else ["--scrape-only" if self.scrape_only else "--no-scrape-only"]),
        ]


def earlier(config: Path, text: str, name: str) -> Request:
    """The options of the last merge of the mixin `name` into the configuration `text`, which is in `config`."""
    values: dict[str, list[str]] = {option: [] for option in ("--config", "--overlay", "--job", "--target", *OUTSIDE)}
    base = without_dots(config.parent)
    found = placed(Patterns.of(config, to_data(tree(text).get("rule_files", ("list", "", [])))), name)
    options = iter(options_of(text, name) or (options_in(found[0]) if found else []))
    rules_only, scrape_only = False, None
    for option in options:
        if option in values:
            values[option].append(next(options, ""))
        rules_only |= option == "--rules-only"
        scrape_only = {"--scrape-only": True, "--no-scrape-only": False}.get(option, scrape_only)
    job = next(iter(values["--job"]), None)
    return Request(
        [base / path for path in values["--config"]],
        job,
        values["--target"],
        rules_only,
        scrape_only,
        [base / path for path in values["--overlay"]],
        {option: values[option] for option in OUTSIDE if values[option]},
    )


def combined(now: Request, before: Request, forget_config: bool = False) -> Request:
    """The options of `now`, with those of `before` as defaults.

    Raises MergeError if a remembered configuration file no longer exists.
    """
    kept = Request() if forget_config else before
    for option, given, old in (("--config", now.config, kept.config), ("--overlay", now.overlay, kept.overlay)):
        for path in () if given else old:
            if not path.is_file():
                raise MergeError(
                    f"was merged with {option} {path}, which no longer exists: "
                    f"name the file again ({option} FILE), or go on without it (--no-config)"
                )
    return Request(
        now.config or kept.config,
        now.job or before.job,
        now.targets or before.targets,
        now.rules_only or (before.rules_only and not now.targets and not now.scrape_only),
        (None if now.rules_only else before.scrape_only) if now.scrape_only is None else now.scrape_only,
        now.overlay or kept.overlay,
        now.outside or before.outside,
    )


def layers(request: Request) -> list[Config]:
    """The request as overrides of the Kronos mixin, above the user's own configuration."""
    said: dict[str, Any] = {}
    if request.job:
        said |= {"job": request.job, "scrape": {"job": request.job}}
    if request.targets:
        said["scrape"] = {**said.get("scrape", {}), "targets": list(request.targets)}
    places = {("kronos", "job"): "--job", ("kronos", "scrape", "targets"): "--target"}
    return [Data({"kronos": said}, places)] if said else []


def of_another(mixin: Mixin, request: Request) -> list[dict[str, Any]]:
    """The scrape jobs of another mixin; few bring one. Raises MergeError."""
    jobs = list(mixin.scrape_configs)
    job, targets = request.job, list(request.targets)
    if not (job or targets):
        return jobs
    if not jobs and not (job and targets):
        raise MergeError(f"the mixin {mixin.name} has no scrape job: name both, --job and --target, or none")
    if len(jobs) > 1:
        raise MergeError(f"the mixin {mixin.name} has {len(jobs)} scrape jobs: change them with --config")
    named = {"job_name": job} if job else {}
    return [{**(jobs[0] if jobs else {}), **named, **({"static_configs": [{"targets": targets}]} if targets else {})}]


def _relative(files: Iterable[Path], base: Path) -> list[Path]:
    """The files as a mark names them: below `base` by their way from there."""
    whole = [Path(os.path.abspath(path)) for path in files]  # noqa: PTH100 - Links stay.
    return [path.relative_to(base) if path.is_relative_to(base) else path for path in whole]
