"""Checks of histograms: their kind, and the boundaries of their buckets."""

from __future__ import annotations

from collections.abc import Iterator

from kronos_mixin import promql
from kronos_mixin.contract import Metric
from kronos_mixin.verify.check import Check, Finding
from kronos_mixin.verify.exposed import ON_THE_WAY, Exposed, bound
from kronos_mixin.verify.stack import Stack
from kronos_mixin.verify.words import listed


def _bounds(stack: Stack) -> Iterator[Finding]:
    exposed = Exposed.of(stack)
    read = [one for group in stack.groups for rule in group["rules"] for one in _read(str(rule["expr"]))]
    for name, metric, children in exposed.each():
        if not name.endswith("_bucket"):
            continue
        place = list(exposed.contract.exposed_series(metric.name)[name]).index("le")
        texts: dict[str, set[str]] = {}
        for child in children:
            texts.setdefault(bound(child[place]), set()).add(child[place])
        if mixed := [sorted(several) for several in texts.values() if len(several) > 1]:
            yield Finding(
                f"{name} has le in two spellings, {' and '.join(mixed[0])}",
                "let all targets take the same way: OpenTelemetry collectors write 5, the service writes 5.0",
                why="Buckets of one boundary are added up as two, and quantiles are wrong.",
            )
            continue
        written = {text for several in texts.values() for text in several}
        wanted = {m for one in read if one.name == name for m in one.matchers if m.label == "le"}
        for matcher in sorted(wanted):
            if not any(map(matcher.lets_through, written)) and any(
                map(matcher.lets_through, [*metric.buckets, "+Inf"])
            ):
                there = [text for b, several in texts.items() for text in several if b in _bounds_of(matcher, metric)]
                if there:
                    yield Finding(
                        f'{name} has le="{there[0]}", and the rules read le{matcher.operator}"{matcher.value}"',
                        "take out what rewrites le on the way: rules know the service's spelling, such as 5.0, and 5",
                    )


def _bounds_of(matcher: promql.Matcher, metric: Metric) -> set[str]:
    return {bound(one) for one in metric.buckets if matcher.lets_through(one)}


def _read(expr: str) -> list[promql.Selector]:
    return promql.read(expr, {}).selectors


def _histograms(stack: Stack) -> Iterator[Finding]:
    exposed = Exposed.of(stack)
    found: dict[tuple[str, str], list[str]] = {}
    for metric in exposed.contract.metrics.values():
        if metric.type == "histogram" and (wrong := _kind(exposed, metric.name)):
            found.setdefault(wrong, []).append(metric.name)
    for (what, mend), names in found.items():
        yield Finding(f"{listed(names)} {what}", mend)


def _kind(exposed: Exposed, name: str) -> tuple[str, str] | None:
    """What is wrong with how a histogram arrives, and what mends it."""
    wanted = exposed.stack.mixin.config["histograms"]
    classic, native = f"{name}_bucket" in exposed.counts, name in exposed.native
    if classic if wanted == "classic" else native if wanted == "native" else classic or native:
        return None
    if native:
        return (
            "arrive as native histograms, and the rules read classic buckets",
            "set convert_classic_histograms_to_nhcb: false in the scrape job, or histograms: native in your --config",
        )
    if classic:
        return (
            "arrive with classic buckets, and the rules read native histograms",
            "set convert_classic_histograms_to_nhcb: true in the scrape job, or histograms: classic in your --config",
        )
    if f"{name}_count" in exposed.counts:
        return (
            "arrive without their buckets",
            f"take out what drops _bucket ({ON_THE_WAY}); to convert them, Prometheus 3.5 needs a feature flag",
        )
    return None  # Nothing of it arrives, which is another check's.


CHECKS = (
    Check(
        name="bucket-bounds",
        looks_at="how the boundaries of buckets are spelt (`le`)",
        finds="a spelling that the rules do not match; two spellings side by side",
        why="Nothing counts as slow, or quantiles are wrong.",
        run=_bounds,
        after=("targets-found",),
    ),
    Check(
        name="histograms",
        looks_at="whether histograms arrive as the rules read them",
        finds="classic histograms that are converted to native ones, or lose their buckets; native ones that are not "
        "converted",
        why="Alerts about latency can't fire.",
        run=_histograms,
        after=("targets-found",),
    ),
)
