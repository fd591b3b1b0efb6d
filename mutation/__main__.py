"""`nox -s mutation`: make mistakes, a sample of each kind, and tell which gate caught them and which survived."""

from __future__ import annotations

import argparse
import hashlib
import os
import select
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mutation import kept
from mutation.copies import Copy, Judge
from mutation.gates import SURVIVED
from mutation.kinds import OPERATORS
from mutation.places import Mutant
from mutation.report import DOCUMENT, Found, document, table

ROOT = Path(__file__).parents[1]
KEPT = ROOT / ".mutation"


def sample(count: int, seed: int, kinds: list[str]) -> list[Mutant]:
    """So many mistakes, from each kind in turn until it has no more."""
    by_kind: dict[str, list[Mutant]] = {}
    for operator in OPERATORS:
        if not kinds or operator.name in kinds:
            by_kind.setdefault(operator.name, []).extend(operator.mutants(ROOT))
    for mutants in by_kind.values():
        mutants.sort(key=lambda mutant: lot(mutant, seed))
    found: list[Mutant] = []
    while len(found) < count and any(by_kind.values()):
        for mutants in by_kind.values():
            if mutants and len(found) < count:
                found.append(mutants.pop())
    return found


def lot(mutant: Mutant, seed: int) -> str:
    """What a mistake draws. It stays the same where others are added, and when lines move."""
    told = (seed, mutant.operator, mutant.file, mutant.old, mutant.new, mutant.after)
    return hashlib.sha256(repr(told).encode()).hexdigest()


def baseline(copy: Copy, file: Path, *, trusted: bool) -> float:
    """Leave in a file what the mixin makes without a mistake. Returns CPU seconds, or raises SystemExit."""
    answer = Judge(copy, file, "before" if trusted else "ask").answer()
    if not file.is_file():
        raise SystemExit("The mixin does not compile even without a mistake: run `python build.py generate`.")
    if answer["gate"] != SURVIVED:
        raise SystemExit(f"Without any mistake, there is one. {answer['gate']}: {answer['said']}")
    copy.restore()
    return float(answer["seconds"])


def judged(mutants: list[Mutant], copies: list[Copy], file: Path, until: float) -> Iterator[Found]:
    """Each mistake as soon as it is judged, in as many copies at once; none is started after `until`."""
    idle, waiting = list(copies), list(reversed(mutants))
    running: dict[Any, tuple[Copy, Mutant, Judge]] = {}
    try:
        while waiting or running:
            if time.monotonic() > until:
                waiting.clear()
            while waiting and idle:
                copy, mutant = idle.pop(), waiting.pop()
                copy.make(mutant)
                judge = Judge(copy, file)
                running[judge.process.stdout] = (copy, mutant, judge)
            for reader in select.select(list(running), [], [])[0]:
                copy, mutant, judge = running.pop(reader)
                yield Found(mutant, **judge.answer())
                copy.restore()
                idle.append(copy)
    finally:
        for _, _, judge in running.values():
            judge.end()


def main() -> None:
    """Run the sample, print each mistake as it is judged, then the table; with --write into the document."""
    parser = argparse.ArgumentParser(prog="nox -s mutation --", description=__doc__)
    parser.add_argument("--count", type=int, default=400, help="how many mistakes")
    parser.add_argument("--seed", type=int, default=1, help="which ones; the same number chooses the same")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at once")
    parser.add_argument("--kind", action="append", default=[], help="only mistakes of this kind; may be repeated")
    parser.add_argument("--minutes", type=float, default=60, help="start no more after so many")
    parser.add_argument("--trust", action="store_true", help="do not ask first whether all gates are content")
    parser.add_argument("--resume", action="store_true", help="leave out what was caught since a run without this")
    parser.add_argument("--write", action="store_true", help=f"write the table into {DOCUMENT}")
    options = parser.parse_args()
    start = time.monotonic()
    mutants = sample(options.count, options.seed, options.kind)
    path = KEPT / f"{'-'.join([str(options.seed), *options.kind])}.jsonl"
    if not options.resume:
        path.unlink(missing_ok=True)
    known = {one.mutant: one for one in kept.read(path) if not one.survived}
    found = [known[mutant] for mutant in mutants if mutant in known]
    with tempfile.TemporaryDirectory(prefix="kronos-mutation-") as temporary:
        folder = Path(temporary)
        file = folder / "made"
        copies = [Copy(ROOT, folder / str(number)) for number in range(options.jobs)]
        before = baseline(copies[0], file, trusted=options.trust)
        new = [mutant for mutant in mutants if mutant not in known]
        for one in judged(new, copies, file, start + 60 * options.minutes):
            kept.add(path, one)
            found.append(one)
            said = " ".join(one.said.split())[:100]
            print(
                f"{len(found)}/{len(mutants)} {one.mutant.operator}: {one.mutant}\n    {one.gate}: {said}", flush=True
            )
    lines = table(found, options.seed, before)
    print(lines)
    if options.write:
        (ROOT / DOCUMENT).write_text(document(ROOT / DOCUMENT, lines), encoding="utf-8")
    if any(one.survived for one in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
