"""Checks of how the targets are scraped: often enough, within limits, and with samples that arrive in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kronos_mixin import shards, windows
from kronos_mixin.verify.api import Sample
from kronos_mixin.verify.check import Check, Finding, Severity, Skip, Unasked
from kronos_mixin.verify.failures import MOST_SERIES, is_limited
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.target import Target, by_series
from kronos_mixin.verify.words import ago, listed

LATE = 60.0
"""Seconds beyond two intervals that a sample may take: what agents, queues and a server's own delay add up to."""

_SLOW = 0.5
"""The share of the scrape timeout that scrapes may take on average."""


def _pace(stack: Stack) -> Iterator[Finding]:
    by_interval: dict[float, list[Target]] = {}
    for target in stack.targets:
        if target.interval is not None:
            by_interval.setdefault(target.interval, []).append(target)
    if not by_interval:
        yield Finding(
            "there are too few samples yet to see how far apart they are",
            "run this again in a few minutes",
            severity=Severity.early,
        )
    for interval, targets in by_interval.items():
        yield from _windows(stack, interval, targets)
    yield from _timeouts(stack)
    yield from _lookback(stack, max(by_interval, default=0))


def _windows(stack: Stack, interval: float, targets: list[Target]) -> Iterator[Finding]:
    config = stack.mixin.config
    pace = windows.duration(interval) if interval == round(interval) else f"{round(interval * 1000)}ms"
    names = listed([target.name for target in targets])
    if wrong := windows.gone_between(pace):
        yield Finding(
            f"the scrape_interval of {names} {wrong}",
            f"set scrape_interval: {config['scrape']['interval']} in the job",
        )
        return
    short = sorted(windows.too_short(config, pace, config["evaluationInterval"]), key=lambda one: len(one[0]))
    if short:
        path, wrong = short[0]
        more = f", and {len(short) - 1} more windows are too short" if len(short) > 1 else ""
        yield Finding(
            f"{names} is scraped every {pace}, but {'.'.join(path[1:])} {wrong}{more}",
            f"set scrape_interval: {config['scrape']['interval']} in the job, or longer windows in your --config",
        )


def _timeouts(stack: Stack) -> Iterator[Finding]:
    wanted = windows.seconds(stack.mixin.config["scrape"]["timeout"])
    took = {
        stack.key(sample.labels): sample.value
        for sample in stack.ask(f"avg_over_time(scrape_duration_seconds{{{stack.selector}}}[15m])")
    }
    for target in stack.targets:
        if target.timeout is None or target.interval is None:
            continue
        mean = took.get(stack.key(target.labels), 0.0)
        if mean > _SLOW * target.timeout:
            yield Finding(
                f"a scrape of {target.name} takes {mean:.2g} s on average, and may take {target.timeout:g} s",
                "set a longer scrape_timeout in the scrape job",
                severity=Severity.warning,
            )
        elif target.timeout < min(wanted, target.interval):
            yield Finding(
                f"the scrape_timeout of {target.name} is {target.timeout:g} s, and was compiled as {wanted:g} s",
                f"set scrape_timeout: {stack.mixin.config['scrape']['timeout']} in the scrape job",
                why="An instance that is merely busy counts as down.",
                severity=Severity.warning,
            )


def _lookback(stack: Stack, interval: float) -> Iterator[Finding]:
    """Prometheus takes a series for gone after --query.lookback-delta."""
    flag = stack.flags.get("query.lookback-delta", "")
    config = stack.mixin.config
    slowest = max(
        interval, windows.seconds(config["evaluationInterval"]), windows.seconds(config["slowEvaluationInterval"])
    )
    if flag and windows.seconds(flag) < min(2 * slowest, windows.LOOKBACK):
        yield Finding(
            f"Prometheus was started with --query.lookback-delta={flag}, and takes series for gone between samples "
            f"that are {windows.duration(slowest)} apart",
            "take out that flag",
        )


def _jobs(stack: Stack) -> list[Mapping[str, Any]]:
    """The jobs by which the server scrapes our targets. Raises Skip if it does not, or does not tell."""
    if not stack.configuration:
        raise Skip("the server shows no configuration")
    pools = {target.pool for target in stack.targets if target.pool}
    jobs = [job for job in stack.configuration.get("scrape_configs") or () if job.get("job_name") in pools]
    if not jobs:
        raise Skip("another server scrapes the targets, or sends their samples here")
    return jobs


def _whole(stack: Stack) -> Iterator[Finding]:
    if stack.mixin.config["shard"]:
        raise Skip("these rules are for a shard")
    if stack.connections.rulers:
        raise Skip("another server evaluates the rules")
    for job in _jobs(stack):
        if share := shards.share(job):
            yield Finding(
                f"the scrape job {job['job_name']} keeps {share} of its targets, by hashmod in relabel_configs, and "
                f"{stack.prometheus.url} evaluates the rules over these alone",
                "load the rules where the series of all parts meet, and ask there (--prometheus); on a shard, load "
                "what the knob shard leaves",
            )


def _limits(stack: Stack) -> Iterator[Finding]:
    jobs = _jobs(stack)
    if any(map(is_limited, stack.targets)):
        raise Unasked("a limit is exceeded already: targets-up has to be right first")
    kept = stack.ask(f"max({stack.recent(f'scrape_samples_post_metric_relabeling{{{stack.selector}}}')})")
    most = max([MOST_SERIES, *(round(one.value * 1.1) for one in kept)])
    for job in jobs:
        given: Mapping[str, Any] = {**(stack.configuration.get("global") or {}), **job}
        for limit, needed, what in (
            ("sample_limit", most, f"an instance can have {most} series"),
            ("series_limit", most, f"an instance can have {most} series"),
            ("target_limit", len(stack.targets) + 1, f"there are {len(stack.targets)} targets"),
        ):
            if 0 < (number := int(given.get(limit) or 0)) < needed:
                yield Finding(
                    f"the {limit} of the scrape job {job['job_name']} is {number}, and {what}",
                    f"set {limit}: {2 * needed} in the scrape job, or take it out",
                )


def _fresh(stack: Stack) -> Iterator[Finding]:
    last: dict[tuple[str, ...], Sample] = {}
    for sample in stack.ups:
        last[stack.key(sample.labels)] = sample
    intervals = {stack.key(target.labels): target.interval for target in stack.targets}
    yield from _frozen(stack)
    late = {}
    for key, sample in last.items():
        age = stack.now - sample.timestamp
        if age > 2 * (intervals.get(key) or windows.seconds(stack.mixin.config["scrape"]["interval"])) + LATE:
            late[key] = age
        elif age < -LATE:
            yield Finding(
                f"the samples of {stack.named(key)} are from the future, by {windows.duration(-age)}",
                "set the clocks of the machines that scrape and that store",
            )
    if late:
        oldest = max(late, key=lambda key: late[key])
        yield Finding(
            f"{len(late)} of {len(last)} targets have no recent sample: the last of {stack.named(oldest)} came "
            f"{ago(late[oldest])}",
            "look at what scrapes it and sends its samples here: its log, and how far its queue is behind",
        )


def _frozen(stack: Stack) -> Iterator[Finding]:
    """Whether what a target answers ever changes: its CPU time does, if only for the scrapes."""
    for samples in by_series(stack.ask(f"process_cpu_seconds_total{{{stack.selector}}}[5m]")):
        last, name = samples[-_STILL:], stack.named(stack.key(samples[-1].labels))
        still = len(last) == _STILL and len({sample.value for sample in last}) == 1
        if still and stack.now - last[-1].timestamp < LATE:
            yield Finding(
                f"{name} has answered the same {_STILL} times in a row: its CPU time does not move",
                "scrape the service itself, without a cache or a saved answer in between",
                why="Rates over what never changes are 0, and no alert fires.",
            )


_STILL = 10
"""So many scrapes in a row can't rightly be the same."""


CHECKS = (
    Check(
        name="scrape-pace",
        looks_at="scrape intervals and timeouts, against the windows of the rules",
        finds="scrapes too far apart for a window, or for Prometheus to see a series between them; a timeout that is "
        "nearly used up, or shorter than compiled; a short --query.lookback-delta",
        why="A window with too few samples is empty: nothing is recorded, and no alert fires.",
        run=_pace,
        after=("targets-found",),
    ),
    Check(
        name="targets-whole",
        looks_at="whether the server that evaluates the rules scrapes all targets",
        finds="a shard, chosen by hashmod, that evaluates rules over its part of the targets",
        why="Shares of a part are none of the whole: alerts are silent, or false.",
        run=_whole,
        after=("targets-found",),
    ),
    Check(
        name="scrape-limits",
        looks_at="limits of the scrape job, against what an instance exposes",
        finds="a sample_limit, series_limit or target_limit that an instance, or one more, would exceed",
        why="Beyond a limit all samples of a scrape are lost, and the target counts as down.",
        run=_limits,
        after=("targets-found",),
    ),
    Check(
        name="samples-fresh",
        looks_at="when the last samples came",
        finds="an agent or a remote write that has stopped or lags; a cache that answers; clocks that differ",
        why="Alerts are as late as samples are, and silent when none come.",
        run=_fresh,
        after=("targets-found",),
    ),
)
