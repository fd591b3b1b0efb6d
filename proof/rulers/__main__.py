"""`nox -s rulers`: the last hours of the made-up day under the rules of Prometheus and of VictoriaMetrics.

Prometheus evaluates all rules and alerts as a range, and vmalert replays them over the same scrapes. The same series
must be recorded at the same evaluations, with means within the tolerance of their kind, and the same alerts fire at
the same time. Prints a table, with `--write` into docs/rulers.md. Exit code 1 if anything else differs.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from kronos_mixin import documents
from kronos_mixin.documents.reference import table
from kronos_mixin.drill import exposition
from kronos_mixin.drill.story import END
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.verify.api import Api
from proof.rulers import compare
from proof.rulers.history import History, read, spans
from proof.scene import backfill, replay
from proof.servers import binaries, victoriametrics

DOCUMENT = Path(__file__).parents[2] / "docs" / "rulers.md"

HOURS = 6.0
"""The last ones of the day."""

BEFORE = 2.0
"""Hours of scrapes before those: longer than the windows over what is scraped."""

# Where a scrape fails, Prometheus notes that the target's series have ended. Nothing does so in a back-filled one.
_FLAGS = (*backfill.FLAGS, f"--query.lookback-delta={backfill.STEP - 1}s")


def of_prometheus(tools: binaries.Tools, mixin: Mixin) -> History:
    """What Prometheus records, and when it fires."""
    # A replay does not know of it.
    alerts = [{**group, "rules": [_without_keeping(rule) for rule in group["rules"]]} for group in mixin.alerts]
    with tempfile.TemporaryDirectory(prefix="kronos-rulers-") as name:
        folder = Path(name)
        plain = dataclasses.replace(mixin, alerts=alerts)
        backfill.fill(tools, plain, folder, HOURS, before=BEFORE, flags=_FLAGS)
        with backfill.serve(tools, folder / "data") as server:
            return read(server, END - HOURS * 3600, END)


def of_victoriametrics(tools: victoriametrics.Tools, mixin: Mixin) -> History:
    """What vmalert records in a replay, and when it fires."""
    with victoriametrics.storing(tools, *replay.FLAGS) as storage:
        replay.fill(tools, mixin, storage, HOURS, before=BEFORE)
        with contextlib.closing(Api(storage)) as api:
            return read(api, END - HOURS * 3600, END)


def _without_keeping(rule: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in rule.items() if key != "keep_firing_for"}


def tables(version: str, ours: History, all_theirs: Mapping[str, History]) -> str:
    """Two tables in Markdown: means by kind, and alerts."""
    heads = [f"vmalert {version}" for version in all_theirs]
    recorded = table(
        ["what is recorded", "records", "series", "may differ by", *heads], _kinds(ours, list(all_theirs.values()))
    )
    fired = table(["alert", f"fires in Prometheus {version} for", *heads], _alerts(ours, list(all_theirs.values())))
    return f"{recorded}\n\n{fired}"


def _kinds(ours: History, all_theirs: list[History]) -> Iterator[list[str]]:
    by_version = [compare.means(ours, theirs) for theirs in all_theirs]
    for kind in compare.KINDS:
        found = [[mean for mean in means if mean.kind == kind] for means in by_version]
        yield [
            kind.name,
            str(len(found[0])),
            str(sum(mean.series for mean in found[0])),
            f"{kind.tolerance:.0%}",
            *(_range([mean.difference for mean in means]) for means in found),
        ]


def _range(differences: list[float]) -> str:
    # A zero has no sign.
    return " to ".join(f"{round(one, 3) + 0.0:+.1%}" for one in (min(differences), max(differences)))


def _alerts(ours: History, all_theirs: list[History]) -> Iterator[list[str]]:
    for labels in sorted(ours.firing, key=compare.named):
        here = spans(ours.firing[labels])
        others = dict(labels)
        told = [others.pop("alertname"), *(f"{name} {others[name]}" for name in sorted(others.keys() - _SHARED))]
        yield [
            ", ".join(told),
            ", ".join(f"{(end - begin) / 60:.0f} min" for begin, end in here),
            *(", ".join(_shifts(here, spans(theirs.firing.get(labels, {})))) for theirs in all_theirs),
        ]


_SHARED = {"__name__", "alertstate", "severity", *exposition.TARGET, "job"}
"""Labels that tell no two alerts of the story apart."""


def _shifts(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> Iterator[str]:
    if len(ours) != len(theirs):
        yield f"{len(theirs)} times"
        return
    for one, other in zip(ours, theirs, strict=True):
        moved = [(name, (b - a) / 60) for name, a, b in zip(("begins", "ends"), one, other, strict=True) if a != b]
        yield (
            " and ".join(f"{name} {abs(by):.0f} min {'later' if by > 0 else 'earlier'}" for name, by in moved)
            or "same"
        )


def main() -> None:
    """Compare, and print or write the tables."""
    parser = argparse.ArgumentParser(prog="nox -s rulers --", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the tables into docs/rulers.md")
    options = parser.parse_args()
    mixin = backfill.compile_for_history()
    prometheus = binaries.newest(say=say)
    say(f"Prometheus {prometheus.version}: {HOURS:g} hours")
    ours = of_prometheus(prometheus, mixin)
    theirs = {}
    wrong = []
    for tools in victoriametrics.every(say=say):
        say(f"vmalert {tools.version}: the same")
        theirs[tools.version] = of_victoriametrics(tools, mixin)
        wrong += [f"vmalert {tools.version}: {one}" for one in compare.problems(ours, theirs[tools.version])]
    text = tables(prometheus.version, ours, theirs)
    say(text)
    if wrong:
        raise SystemExit("\n".join(["", *wrong]))
    if options.write:
        page = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(documents.fill(page, {"rulers": lambda _: text}), encoding="utf-8")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
