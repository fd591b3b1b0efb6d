"""`nox -s mutation`: make mistakes, a sample of each kind, and tell which gate caught them and which survived."""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mutation.copies import Copy, Judge
from mutation.kinds import OPERATORS
from mutation.places import Mutant
from mutation.report import DOCUMENT, Found, document, table

ROOT = Path(__file__).parents[1]


def sample(count: int, seed: int, kinds: list[str]) -> list[Mutant]:
    """So many mistakes, from each kind in turn until it has no more."""
    chance = random.Random(seed)  # noqa: S311 - The same sample again, not a secret.
    by_kind: dict[str, list[Mutant]] = {}
    for operator in OPERATORS:
        if not kinds or operator.name in kinds:
            by_kind.setdefault(operator.name, []).extend(operator.mutants(ROOT))
    for mutants in by_kind.values():
        chance.shuffle(mutants)
    found: list[Mutant] = []
    while len(found) < count and any(by_kind.values()):
        for mutants in by_kind.values():
            if mutants and len(found) < count:
                found.append(mutants.pop())
    return found


def baseline(copy: Copy, file: Path, *, trusted: bool) -> None:
    """Leave in a file what the mixin makes without a mistake. Raises SystemExit if that fails."""
    refused = Judge(copy, file, "before" if trusted else "ask").answer()
    if refused:
        raise SystemExit(f"Without any mistake, there is one: {refused}")
    if not file.is_file():
        raise SystemExit("The mixin does not compile even without a mistake: run `python build.py generate`.")
    copy.restore()


def main() -> None:
    """Run the sample, print each mistake as it is judged, then the table; with --write into the document."""
    parser = argparse.ArgumentParser(prog="nox -s mutation --", description=__doc__)
    parser.add_argument("--count", type=int, default=400, help="how many mistakes")
    parser.add_argument("--seed", type=int, default=1, help="which ones; the same number chooses the same")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at once")
    parser.add_argument("--kind", action="append", default=[], help="only mistakes of this kind; may be repeated")
    parser.add_argument("--minutes", type=float, default=60, help="start no more after so many")
    parser.add_argument("--trust", action="store_true", help="do not ask first whether all gates are content")
    parser.add_argument("--write", action="store_true", help=f"write the table into {DOCUMENT}")
    options = parser.parse_args()
    start = time.monotonic()
    mutants = sample(options.count, options.seed, options.kind)
    found: list[Found] = []
    with tempfile.TemporaryDirectory(prefix="kronos-mutation-") as temporary:
        folder = Path(temporary)
        file = folder / "made"
        idle = [Copy(ROOT, folder / str(number)) for number in range(options.jobs)]
        baseline(idle[0], file, trusted=options.trust)
        running: dict[Any, tuple[Copy, Mutant, Judge]] = {}
        waiting = list(reversed(mutants))
        while waiting or running:
            if time.monotonic() - start > 60 * options.minutes:
                waiting.clear()
            while waiting and idle:
                copy, mutant = idle.pop(), waiting.pop()
                copy.make(mutant)
                judge = Judge(copy, file)
                running[judge.process.stdout] = (copy, mutant, judge)
            for reader in select.select(list(running), [], [])[0]:
                copy, mutant, judge = running.pop(reader)
                answer = json.loads(judge.answer() or '{"gate": "trouble", "said": "it died"}')
                found.append(Found(mutant, answer["gate"], answer["said"]))
                copy.restore()
                idle.append(copy)
                said = " ".join(answer["said"].split())[:100]
                sys.stdout.write(
                    f"{len(found)}/{len(mutants)} {mutant.operator}: {mutant}\n    {answer['gate']}: {said}\n"
                )
                sys.stdout.flush()
    lines = table(found, options.seed, time.monotonic() - start)
    sys.stdout.write(f"{lines}\n")
    if options.write:
        (ROOT / DOCUMENT).write_text(document(ROOT / DOCUMENT, lines), encoding="utf-8")
    if any(one.survived for one in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
