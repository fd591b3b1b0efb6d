"""Checks of the targets: found, up, of our service, and each of them once."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping

from kronos_mixin import promql
from kronos_mixin.connect import AnswerError
from kronos_mixin.verify.api import Sample
from kronos_mixin.verify.check import Check, Finding, Severity
from kronos_mixin.verify.failures import Failure, failure
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.target import Target, by_series
from kronos_mixin.verify.words import ago, listed

_DISCOVERS = 30.0
"""Seconds within which Prometheus finds targets once it has read its configuration: it collects them for some."""

_OURS = re.compile("kronos_")

OLDEST = (2, 42)
"""The oldest Prometheus whose PromQL the rules are tested with."""


def _answers(stack: Stack) -> Iterator[Finding]:
    try:
        _ = stack.now
    except AnswerError as error:
        if error.forbidden:
            mend = (
                "give credentials (--token-file FILE, or authorization or basic_auth in --connections FILE), and "
                "Mimir a tenant (--header 'X-Scope-OrgID: TENANT')"
            )
        elif error.status is None:
            mend = "start it, or give the address at which it listens: --prometheus URL"
        else:
            mend = "give the address of a query API: with Mimir, and with vmselect, it ends in /prometheus"
        yield Finding(str(error), mend)
        return
    version = str(stack.build.get("version", ""))
    numbers = tuple(int(part) for part in version.split("+")[0].split(".")[:2] if part.isdigit())
    is_prometheus = "revision" in stack.build and "application" not in stack.build
    if stack.runtime.get("reloadConfigSuccess") is False:
        yield Finding(
            "Prometheus has refused its configuration when it last read it, and goes on with an older one",
            "correct what its log says, or `promtool check config prometheus.yml`, and reload it",
            why="What you have changed since is not there.",
        )
    if is_prometheus and (2,) <= numbers < OLDEST:
        yield Finding(
            f"this is Prometheus {version}, and the rules need {'.'.join(map(str, OLDEST))}",
            "update Prometheus",
        )


def _found(stack: Stack) -> Iterator[Finding]:
    if not stack.targets:
        yield _not_found(stack)
        return
    for expected in stack.mixin.config["expectedTargets"]:
        if not any(expected.items() <= dict(target.labels).items() for target in stack.targets):
            which = ", ".join(f'{label}="{value}"' for label, value in expected.items())
            yield Finding(
                f"no target has {which}, which the knob expectedTargets wants",
                "scrape it with these labels, or take it out of expectedTargets in your --config",
                why="KronosTargetMissing fires until there is one.",
            )


def _not_found(stack: Stack) -> Finding:
    """Why there is no target."""
    job = stack.job
    renamed = [one["labels"] for one in stack.all_targets if one.get("scrapePool") == job]
    if renamed:
        return Finding(
            f"the targets of the scrape job {job} have {_matched(stack, renamed[0])}: the rules select by "
            f"{{{stack.selector}}}",
            "take out what rewrites them in relabel_configs, or set the knob job, or selector, to what they are",
        )
    if stack.alive(f"kronos_build_info{{{stack.selector}}}"):
        return Finding(
            f"there are series of {{{stack.selector}}}, but not `up`: what collects them leaves it out",
            f"let up{{{stack.selector}}} through, too: in the match[] of a federation, or in write_relabel_configs",
        )
    elsewhere = stack.alive("kronos_build_info")
    for sample in elsewhere:
        if stack.selects({"job": sample.labels.get("exported_job", "")}):
            return Finding(
                f"the job {sample.labels['job']} collects {job}, and has renamed its label job to exported_job",
                f"set honor_labels: true in the scrape job {sample.labels['job']}",
            )
    if elsewhere:
        others = sorted({one.labels.get("job", "") for one in elsewhere})
        return Finding(
            f"Kronos is scraped by the job {listed(others)}, and the rules select by {{{stack.selector}}}",
            f"name the scrape job {job}, or compile for its name: kronos-mixin merge PROMETHEUS_YML --rules-only "
            f"--job {others[0]}",
        )
    jobs = [str(one.get("job_name")) for one in stack.configuration.get("scrape_configs") or ()]
    if job in jobs and stack.now - (stack.configured or 0) < _DISCOVERS:
        return Finding(
            f"Prometheus has just read its configuration, and finds the targets of {job} within seconds",
            "run this again in a minute",
            severity=Severity.early,
        )
    if job in jobs:
        return Finding(
            f"the scrape job {job} finds no target: its discovery lists none, or relabelling drops them all",
            f"look at what the job {job} discovers on Prometheus' page /service-discovery",
        )
    for last in stack.ask(f"max(max_over_time(timestamp(up{{{stack.selector}}})[6h:1m]))"):
        return Finding(
            f"no target of {{{stack.selector}}} is left: the last sample came {ago(stack.now - last.value)}",
            "start what scrapes it, or what sends its samples here",
        )
    known = f": it scrapes {listed(sorted(jobs))}" if jobs else ""
    return Finding(
        f"there is no target of {{{stack.selector}}}{known}",
        f"add the scrape job: kronos-mixin merge PROMETHEUS_YML --job {job} --target HOST:PORT",
    )


def _matched(stack: Stack, labels: Mapping[str, str]) -> str:
    """The labels of a target by which it should have been selected."""
    return ", ".join(f'{one.label}="{labels.get(one.label, "")}"' for one in promql.matchers(stack.selector))


def _up(stack: Stack) -> Iterator[Finding]:
    down: dict[Failure, list[Target]] = {}
    for target in stack.targets:
        if target.up is None:
            yield Finding(
                f"{target.name} has not been scraped yet", "run this again in a minute", severity=Severity.early
            )
        elif not target.up:
            down.setdefault(failure(target, stack.contract), []).append(target)
    yield from _flapping(stack)
    for why, targets in down.items():
        names = listed([target.name for target in targets])
        said = f" ({targets[0].error})" if targets[0].error else ""
        yield Finding(
            f"{len(targets)} of {len(stack.targets)} targets can't be scraped: {names} {why.wrong}{said}", why.mend
        )


def _flapping(stack: Stack) -> Iterator[Finding]:
    """Targets that are up now, and were not at many of the last scrapes."""
    for samples in by_series(stack.ups):
        last = [sample.value for sample in samples[-_SCRAPES:]]
        failed, turns = last.count(0), sum(one != other for one, other in itertools.pairwise(last))
        if last[-1] == 1 and turns >= _TURNS:
            name = stack.named(stack.key(samples[-1].labels))
            yield Finding(
                f"{name} is up now, but {failed} of its last {len(last)} scrapes failed",
                "look at its log, its load and the way to it; do several programs answer at one address?",
                severity=Severity.warning,
            )


_SCRAPES, _TURNS = 12, 5
"""A target flaps if it was up, and then not, or the other way round, so often within so many scrapes."""


def _ours(stack: Stack) -> Iterator[Finding]:
    up = stack.recent(f"up{{{stack.selector}}}")
    shown = stack.by_key(f"{up} == 1")
    if not shown and any(target.up for target in stack.targets):
        yield Finding(
            "targets are up, but no query shows it yet: VictoriaMetrics, say, shows samples after 30 s",
            "run this again in a minute",
            severity=Severity.early,
        )
        return
    series = stack.by_key(stack.recent(f'{{__name__=~"kronos_.+",{stack.selector}}}'))
    for key in shown.keys() - series.keys():
        yield _another(stack, shown[key])
    there = stack.by_key(up)
    for key in sorted(series.keys() - there.keys()):
        yield Finding(
            f"there are series of {stack.named(key)}, which is the name of no target",
            "take out what rewrites job or instance in metric_relabel_configs; in a federation, let `up` through",
            why="Rules join series with the `up` of their target.",
        )


def _another(stack: Stack, up: Sample) -> Finding:
    """Why a target that is up has none of our series."""
    name = up.labels.get("instance", "")
    url = next((one.url for one in stack.targets if one.labels.get("instance") == name and one.url), name)
    only = ",".join([stack.selector, f'instance="{name}"'])
    scraped, kept = (
        max((one.value for one in stack.ask(stack.recent(f"{metric}{{{only}}}"))), default=0)
        for metric in ("scrape_samples_scraped", "scrape_samples_post_metric_relabeling")
    )
    if kept < scraped:
        return Finding(
            f"{name} has {scraped:.0f} samples, and relabelling leaves {kept:.0f}, none of which begins with kronos_",
            "take out what drops or renames them in metric_relabel_configs of the scrape job",
        )
    moved = stack.alive(f'kronos_build_info{{instance="{name}"}}')
    if moved:
        return Finding(
            f'the series of {name} have job="{moved[0].labels.get("job", "")}", and its `up` has '
            f'job="{up.labels.get("job", "")}"',
            "take out what rewrites job in metric_relabel_configs",
        )
    if any(one.url == url and any(map(_OURS.match, one.series)) for one in stack.expositions):
        return Finding(
            f"{name} exposes Kronos, but none of its {scraped:.0f} samples begins with kronos_ any more",
            "take out what renames them in metric_relabel_configs of the scrape job",
        )
    return Finding(
        f"another service answers at {name}: none of its {scraped:.0f} samples begins with kronos_",
        f"look at what answers, and scrape Kronos instead: curl {url}",
    )


CHECKS = (
    Check(
        name="prometheus-answers",
        looks_at="the query API",
        finds="an address at which nothing or something else answers, missing credentials or tenant, a Prometheus "
        "that is too old, or has refused its configuration",
        why="Nothing below can be asked.",
        run=_answers,
    ),
    Check(
        name="targets-found",
        looks_at="the targets of the job that the rules select by",
        finds="no target at all: discovery, relabelling, another job name, a federation without `up`; an expected "
        "target that is missing",
        why="Without targets there is nothing to watch.",
        run=_found,
        after=("prometheus-answers",),
    ),
    Check(
        name="targets-up",
        looks_at="whether each target can be scraped",
        finds="a target that is down; a wrong path, scheme or certificate; a missing key; an exceeded limit",
        why="What can't be scraped can't be watched, and counts as down.",
        run=_up,
        after=("targets-found",),
    ),
    Check(
        name="targets-ours",
        looks_at="whether each target that is up exposes Kronos",
        finds="another service at the address; relabelling that drops all series, or renames their job or instance",
        why="A target that is up looks well, whatever answers.",
        run=_ours,
        after=("targets-found",),
    ),
)
